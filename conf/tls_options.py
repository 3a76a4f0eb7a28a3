"""Options of a pool for TLS, which `tls://` and `https://` addresses speak; of one address alone, too."""

from forkful.conf.option import Form, Option, Scope

_P = Scope.POOL

TLS: tuple[Option, ...] = (
    Option(
        "certfile",
        _P,
        Form.PATH,
        "",
        "The certificate for TLS, with its chain, in PEM. Addresses without a scheme and fd:// of TCP speak TLS then.",
        listener=True,
    ),
    Option(
        "keyfile",
        _P,
        Form.PATH,
        "",
        "Its private key. Read once, before the workers are another user. Unset: it is in certfile.",
        listener=True,
    ),
    Option(
        "keyfile_password_file",
        _P,
        Form.PATH,
        "",
        "A file with the password of encrypted keys, in its first line.",
        listener=True,
    ),
    Option(
        "certificates",
        _P,
        Form.CERTIFICATES,
        (),
        "More certificates with their keys; the name that a client asks for (SNI) chooses one of all. Else: certfile.",
        listener=True,
    ),
    Option(
        "ca_certs",
        _P,
        Form.PATH,
        "",
        "The authorities that certify clients: a file, or a directory as c_rehash makes it.",
        listener=True,
    ),
    Option(
        "cert_reqs",
        _P,
        Form.CHOICE,
        "none",
        "Whether clients are asked for a certificate, and have to have one.",
        words=("none", "optional", "required"),
        synonyms=(("0", "none"), ("1", "optional"), ("2", "required")),  # Gunicorn's: the numbers of ssl.VerifyMode
        listener=True,
    ),
    Option(
        "ciphers",
        _P,
        Form.TEXT,
        "",
        "The ciphers up to TLS 1.2, as OpenSSL writes them. Unset: those of Python.",
        listener=True,
    ),
    Option(
        "tls_min_version",
        _P,
        Form.CHOICE,
        "1.2",
        "The oldest version of TLS that is spoken.",
        words=("1.2", "1.3"),
        listener=True,
    ),
    Option(
        "alpn",
        _P,
        Form.PROTOCOLS,
        (),
        "The protocols that are offered to clients (ALPN). Unset: http/1.1 for web applications, else none.",
        listener=True,
    ),
)
