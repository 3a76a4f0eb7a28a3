/* load: a load generator that is never the bottleneck. One thread, epoll, every reply checked and classified.
 *
 *     load [-n CONNECTIONS] [-r REQUESTS] [-R RATE] [-w WARM] [-B] [-t SECONDS] [-T TIMEOUT_MS] [-s SIZE] [-p PATH] [-b]
 *          MODE ADDRESS
 *
 * MODE     close             connect, send SIZE bytes, read the echo and then the end of file, close; again
 *          persistent        N connections, ping-pong
 *          datagram          N sockets with one datagram in flight each; one without an answer counts as timeout
 *          http-close, http-persistent    GET PATH; -b sends the ten headers of a browser
 * ADDRESS  HOST:PORT (numeric; IPv6 in brackets) or /PATH of a Unix socket
 *
 * With RATE, so many requests a second are begun at most, the connections taking turns; as many as can be without.
 * With -B all connections begin at once, and again when the last of them is done: bursts.
 * With WARM, so many requests come before all others and do not count, a few at a time and as fast as they can. Then it
 * says "warm" on standard error and begins; when it has reported, it keeps its connections until its input ends.
 * It stops starting requests after REQUESTS or SECONDS, or at TERM or INT, waits for those in flight and prints one
 * line of JSON. Clients are independent of each other: each sends as soon as it is connected, as a blocking client does.
 * Waiting until the socket is reported writable instead would make them arrive in bursts. `close` reads the end of
 * file, so that the server closes first and TIME_WAIT never eats our ports.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 65536, EVENTS = 512, SUB = 32, WARMERS = 64 };     /* SUB: buckets per power of two, 3 % of precision */
enum outcome { OK, REFUSED, RESET, CLOSED, TIMEOUT, WRONG, OTHER, OUTCOMES };
enum phase { IDLE, CONNECTING, AWAITING, ENDING };       /* ENDING: answered, the server's end of file is due */
static const char *const NAMES[OUTCOMES] = {"ok", "refused", "reset", "closed", "timeout", "wrong", "other"};

struct connection {
    int fd;                  /* -1: none */
    enum phase phase;
    uint64_t began;          /* ns; when this request began, with its connect in the modes that close */
    size_t got;
    char *sent, *received;
};

static struct { int connections, timeout_ms; size_t size; uint64_t requests, warm; double seconds, rate;
                int keep, datagram, http, browser, bursts; const char *path; }
    want = {.connections = 16, .timeout_ms = 5000, .size = 64, .seconds = 5, .path = "/"};
static struct sockaddr_storage peer;
static socklen_t peer_length;
static int poller, last_errno;
static volatile sig_atomic_t stopping;
static uint64_t started, active, late, outcomes[OUTCOMES], histogram[64 * SUB], total_ns, worst_ns, origin, deadline;
static int turn;             /* whose turn it is to begin, where they take turns */
static int warming;
static char request[4096];

static void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(2);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void stop(int signal_number) { (void)signal_number; stopping = 1; }

/* -- latency ------------------------------------------------------------------------------------------------------- */

static void record(uint64_t ns)
{
    unsigned power = ns < SUB ? 0 : 63u - (unsigned)__builtin_clzll(ns) - 5;   /* 2^5 == SUB */
    uint64_t index = power ? (uint64_t)power * SUB + ((ns >> power) - SUB) + SUB : ns;
    histogram[index]++;
    total_ns += ns;
    if (ns > worst_ns) worst_ns = ns;
}

static double percentile_us(double share)
{
    uint64_t seen = 0, rank = (uint64_t)(share * (double)outcomes[OK]);
    for (uint64_t index = 0; index < 64 * SUB; index++) {
        seen += histogram[index];
        if (seen > rank) {
            uint64_t power = index / SUB ? index / SUB - 1 : 0;
            uint64_t ns = index < SUB ? index : (index - SUB - power * SUB + SUB) << power;
            return (double)ns / 1e3;
        }
    }
    return (double)worst_ns / 1e3;
}

/* -- one request --------------------------------------------------------------------------------------------------- */

static enum outcome sort(int error)
{
    last_errno = error;
    switch (error) {
    case ECONNREFUSED: case EAGAIN: case ENOENT: return REFUSED;  /* EAGAIN: a Unix socket's full queue, connect(2) */
    case ECONNRESET: case EPIPE: case ECONNABORTED: return RESET;
    default: return OTHER;
    }
}

static void drop(struct connection *c)
{
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
}

static void begin(struct connection *c);

/* Whether a request more may be begun by now. */
static int due(void)
{
    if (stopping) return 0;
    if (warming) return started < want.warm && active < WARMERS;
    if (started >= want.requests) return 0;
    return !want.rate || (double)started < (double)(now_ns() - origin) / 1e9 * want.rate;
}

static int turns(void) { return want.rate || want.warm || want.bursts; }

/* After a failure the next request begins with the next sweep: a server that refuses is not hammered. */
static void finish(struct connection *c, enum outcome outcome)
{
    outcomes[outcome]++;
    if (outcome != OK || !want.keep) drop(c);
    active--;
    c->phase = IDLE;
    if (outcome == OK && !turns() && due()) begin(c);
}

static int dial(struct connection *c)
{
    int type = want.datagram ? SOCK_DGRAM : SOCK_STREAM;
    c->fd = socket(peer.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket: %s; lower -n or raise `ulimit -n`", strerror(errno));
    if (want.datagram && peer.ss_family == AF_UNIX) {    /* a name to answer to: autobind, unix(7) */
        struct sockaddr_un own = {.sun_family = AF_UNIX};
        if (bind(c->fd, (struct sockaddr *)&own, sizeof(sa_family_t))) die("bind: %s", strerror(errno));
    }
    if (connect(c->fd, (struct sockaddr *)&peer, peer_length) && errno != EINPROGRESS) return -1;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event)) die("epoll_ctl: %s", strerror(errno));
    return 0;
}

static void watch(struct connection *c, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event);
}

static void transmit(struct connection *c)
{
    ssize_t n = send(c->fd, c->sent, want.size, MSG_NOSIGNAL);
    if (n == (ssize_t)want.size) {
        if (c->phase == CONNECTING) watch(c, EPOLLIN);
        c->phase = AWAITING;
    } else if (n < 0 && (errno == EAGAIN || errno == ENOTCONN)) {   /* still connecting, or a full Unix queue */
        c->phase = CONNECTING;
        watch(c, EPOLLOUT);
    } else {
        finish(c, n < 0 ? sort(errno) : OTHER);          /* a part: SIZE is too big for this generator */
    }
}

static void begin(struct connection *c)
{
    c->began = now_ns();
    if (c->began > deadline) { stopping = 1; return; }
    uint64_t number = started++;
    active++;
    c->got = 0;
    if (!want.http) memcpy(c->sent, &number, want.size < sizeof number ? want.size : sizeof number);
    c->phase = AWAITING;
    if (c->fd < 0 && dial(c)) finish(c, sort(errno));
    else transmit(c);
}

/* 1: complete, 0: more to come, -1: not what was asked for. */
static int judge_http(struct connection *c)
{
    c->received[c->got] = 0;
    char *body = strstr(c->received, "\r\n\r\n");
    if (!body) return 0;
    if (strncmp(c->received, "HTTP/1.", 7) || strncmp(c->received + 8, " 200", 4)) return -1;
    size_t head = (size_t)(body + 4 - c->received);
    for (char *line = strstr(c->received, "\r\n"); line && line < body; line = strstr(line + 2, "\r\n")) {
        if (!strncasecmp(line + 2, "content-length:", 15)) {
            size_t length = strtoul(line + 17, NULL, 10);
            return c->got < head + length ? 0 : c->got == head + length ? 1 : -1;
        }
    }
    return c->got >= head + 5 && !memcmp(c->received + c->got - 5, "0\r\n\r\n", 5);   /* chunked */
}

static int judge(struct connection *c)
{
    if (want.http) return judge_http(c);
    if (c->got < want.size) return want.datagram ? -1 : 0;
    return c->got == want.size && !memcmp(c->sent, c->received, want.size) ? 1 : -1;
}

static void answered(struct connection *c)
{
    record(now_ns() - c->began);
    if (want.keep) finish(c, OK);
    else c->phase = ENDING;
}

static void receive(struct connection *c)
{
    for (;;) {
        ssize_t n = recv(c->fd, c->received + c->got, ROOM - 1 - c->got, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (n < 0) { finish(c, sort(errno)); return; }
        if (c->phase == ENDING) { finish(c, n ? WRONG : OK); return; }
        if (n == 0 && !want.datagram) { finish(c, CLOSED); return; }
        if (want.datagram && n >= 8 && memcmp(c->received, c->sent, 8)) { late++; continue; }
        c->got += (size_t)n;
        int verdict = judge(c);
        if (verdict < 0) { finish(c, WRONG); return; }
        if (verdict > 0) {
            answered(c);
            if (want.keep) return;
        }
    }
}

static void happened(struct connection *c, uint32_t events)
{
    if (c->phase == IDLE) {
        if (!want.datagram) drop(c);                     /* an idle persistent connection was closed */
        else while (recv(c->fd, c->received, ROOM, 0) >= 0) late++;
    } else if (c->phase == CONNECTING) {
        int error = 0;
        socklen_t length = sizeof error;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
        if (error) finish(c, sort(error));
        else if (events & EPOLLOUT) transmit(c);
    } else {
        receive(c);
    }
}

/* -- the whole ----------------------------------------------------------------------------------------------------- */

static void resolve(char *address)
{
    if (*address == '/') {
        struct sockaddr_un *unix_peer = (struct sockaddr_un *)&peer;
        if (strlen(address) >= sizeof unix_peer->sun_path) die("%s: path too long", address);
        unix_peer->sun_family = AF_UNIX;
        strcpy(unix_peer->sun_path, address);
        peer_length = sizeof *unix_peer;
        return;
    }
    char *port = strrchr(address, ':');
    if (!port) die("%s: not HOST:PORT and not /PATH", address);
    *port++ = 0;
    if (*address == '[') { address++; address[strcspn(address, "]")] = 0; }
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV}, *found;
    int error = getaddrinfo(address, port, &hints, &found);
    if (error) die("%s: %s", address, gai_strerror(error));
    memcpy(&peer, found->ai_addr, peer_length = found->ai_addrlen);
    freeaddrinfo(found);
}

static void compose(void)
{
    static const char browser[] =
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n"
        "Accept-Encoding: gzip, deflate, br, zstd\r\nUpgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\n"
        "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\nSec-Fetch-User: ?1\r\nPriority: u=0, i\r\n";
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s%s\r\n", want.path,
                          want.browser ? browser : "", want.keep ? "" : "Connection: close\r\n");
    if (length < 0 || length >= (int)sizeof request) die("the path is too long");
    want.size = (size_t)length;
}

static void arguments(int count, char **values)
{
    int option;
    while ((option = getopt(count, values, "n:r:R:w:Bt:T:s:p:b")) != -1) {
        switch (option) {
        case 'n': want.connections = atoi(optarg); break;
        case 'r': want.requests = strtoull(optarg, NULL, 10); break;
        case 'R': want.rate = atof(optarg); break;
        case 'w': want.warm = strtoull(optarg, NULL, 10); break;
        case 'B': want.bursts = 1; break;
        case 't': want.seconds = atof(optarg); break;
        case 'T': want.timeout_ms = atoi(optarg); break;
        case 's': want.size = strtoul(optarg, NULL, 10); break;
        case 'p': want.path = optarg; break;
        case 'b': want.browser = 1; break;
        default: exit(2);
        }
    }
    if (count - optind != 2) die("usage: load [options] MODE ADDRESS; the options are at the top of load.c");
    const char *mode = values[optind];
    want.http = !strncmp(mode, "http-", 5);
    mode += want.http ? 5 : 0;
    want.datagram = !strcmp(mode, "datagram");
    want.keep = want.datagram || !strcmp(mode, "persistent");
    if (!want.keep && strcmp(mode, "close")) die("%s: no such mode", mode);
    if (want.connections < 1 || want.size < 1 || want.size > ROOM - 1) die("-n or -s is out of range");
    if (!want.requests) want.requests = UINT64_MAX;
    if (want.http) compose();
    resolve(values[optind + 1]);
}

static void sweep(struct connection *all)
{
    uint64_t now = now_ns(), patience = (uint64_t)want.timeout_ms * 1000000u;
    for (int i = 0; i < want.connections; i++) {
        if (all[i].phase != IDLE && now > all[i].began + patience) {
            if (want.datagram) outcomes[TIMEOUT]++, active--, all[i].phase = IDLE;   /* a late answer is `late` */
            else finish(&all[i], TIMEOUT);
        }
        if (!turns() && all[i].phase == IDLE && due()) begin(&all[i]);
    }
    if (now > deadline) stopping = 1;
}

/* Who take turns: whoever's turn it is and who has nothing in flight begins. */
static void pace(struct connection *all)
{
    if (want.bursts && active) return;
    for (int tried = 0; tried < want.connections && due(); tried++) {
        struct connection *c = &all[turn];
        turn = (turn + 1) % want.connections;
        if (c->phase == IDLE) begin(c);
    }
}

/* From here on it counts; what went wrong before is not forgotten. */
static uint64_t be_warm(void)
{
    warming = 0;
    outcomes[OK] = started = total_ns = worst_ns = 0;
    memset(histogram, 0, sizeof histogram);
    origin = now_ns();
    deadline = origin + (uint64_t)(want.seconds * 1e9);
    fputs("warm\n", stderr);
    return origin;
}

static void report(double seconds)
{
    uint64_t requests = 0;
    for (int i = 0; i < OUTCOMES; i++) requests += outcomes[i];
    printf("{\"requests\": %lu, \"seconds\": %.6f, \"late\": %lu", requests, seconds, late);
    for (int i = 0; i < OUTCOMES; i++) printf(", \"%s\": %lu", NAMES[i], outcomes[i]);
    printf(", \"mean_us\": %.1f, \"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f",
           outcomes[OK] ? (double)total_ns / 1e3 / (double)outcomes[OK] : 0, percentile_us(.5), percentile_us(.9),
           percentile_us(.99), (double)worst_ns / 1e3);
    printf(", \"last_error\": \"%s\"}\n", last_errno ? strerror(last_errno) : "");
}

int main(int count, char **values)
{
    arguments(count, values);
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    poller = epoll_create1(EPOLL_CLOEXEC);
    struct connection *all = calloc((size_t)want.connections, sizeof *all);
    uint64_t began = origin = now_ns(), swept = began;
    deadline = began + (uint64_t)(want.seconds * 1e9);
    if ((warming = want.warm > 0)) deadline = began + 120000000000u;
    for (int i = 0; i < want.connections; i++) {
        all[i] = (struct connection){.fd = -1, .sent = calloc(1, ROOM), .received = malloc(ROOM)};
        memset(all[i].sent, 'x', want.size);
        if (want.http) memcpy(all[i].sent, request, want.size);
        if (!turns() && started < want.requests) begin(&all[i]);
    }
    struct epoll_event events[EVENTS];
    while (active || (!stopping && (warming || started < want.requests))) {
        if (warming && !active && started >= want.warm) began = be_warm();
        if (turns()) pace(all);
        int ready = epoll_wait(poller, events, EVENTS, turns() ? 1 : 10);
        for (int i = 0; i < ready; i++) happened(events[i].data.ptr, events[i].events);
        if (!ready || now_ns() > swept + 10000000u) {
            swept = now_ns();
            sweep(all);
        }
    }
    report((double)(now_ns() - began) / 1e9);
    fflush(stdout);
    while (want.warm && read(STDIN_FILENO, request, sizeof request) > 0);
    return 0;
}
