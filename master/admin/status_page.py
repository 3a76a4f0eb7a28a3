"""The status page: one self-contained HTML document that renews itself, light or dark as its reader's system is.

Everything in it comes from a status document and is escaped. Its policy (`POLICY`) names the hashes of the one style
and the one script, so nothing that slips in could run; the script only fetches the page again. Addresses in it are
relative, for those who see it through a proxy.
Can go wrong: nothing.
"""

import base64
import hashlib
from html import escape

from forkful.master.admin import status
from forkful.master.admin.status import PoolStatus, Status, WorkerStatus
from forkful.master.model import format as as_text

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2129; --dim: #667085; --page: #f6f7f9; --card: #fff; --line: #e4e7ec;
        --good: #16794a; --warn: #a15c00; --bad: #b42318; --bar: #3366d0; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8ec; --dim: #98a2b3; --page: #14161a; --card: #1d2026; --line: #2d323b;
          --good: #4cc38a; --warn: #f0a848; --bad: #ff7b72; --bar: #6f9bff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: clamp(.8rem, 4vw, 1.5rem); background: var(--page);
       color: var(--ink); font: .94rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.1rem; margin: 0; }
header, .card > div:first-child { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline; }
header > *, .card > div:first-child > * { min-width: 0; }
.dim { color: var(--dim); } .good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem; margin: 1rem 0; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(8.5rem, 28%), 1fr)); gap: .6rem 1rem;
     margin: .8rem 0; }
dt { color: var(--dim); font-size: .8rem; } dd { margin: 0; font-size: 1.15rem; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 500; font-size: .8rem; color: var(--dim); }
th, td { padding: .25rem .8rem .25rem 0; border-top: 1px solid var(--line); white-space: nowrap; }
td.n, th.n { text-align: right; }
pre { overflow-x: auto; padding: .8rem; background: var(--page); border-radius: .4rem; font-size: .85rem; }
code { font-size: .9em; } a { color: var(--bar); }
#note { position: sticky; top: 0; margin: 0; background: var(--page); }
"""

# Renews <main> every two seconds while somebody looks, and makes rates of what was counted in between. Only what is
# different is changed, so that what somebody selects, scrolled or has the focus on stays as it is.
_SCRIPT = """
const counted = () => [...document.querySelectorAll("[data-count]")];
const read = () => Object.fromEntries(counted().map(each => [each.id, +each.dataset.count]));
const stamp = () => +document.querySelector("main").dataset.at;
const show = n => n >= 100 ? Math.round(n).toLocaleString("en") : n.toFixed(n >= 1 || n === 0 ? 1 : 2);
const note = text => { document.getElementById("note").textContent = text; };
function update(old, now) {
  if (old.isEqualNode(now)) return;
  const olds = [...old.childNodes], news = [...now.childNodes];
  if (old.nodeName !== now.nodeName || olds.length !== news.length) return old.replaceWith(now);
  if (old.nodeType === Node.TEXT_NODE) old.data = now.data;
  else for (const { name, value } of now.attributes) old.setAttribute(name, value);
  olds.forEach((each, index) => update(each, news[index]));
}
async function renew() {
  const old = { at: stamp(), counts: read() };
  try {
    const answer = await fetch(location.pathname, { cache: "no-store", signal: AbortSignal.timeout(6000) });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const main = page.querySelector("main");
    if (!main) throw new Error("HTTP " + answer.status);
    document.title = page.title;
    update(document.querySelector("main"), main);
    const seconds = stamp() - old.at, counts = read();
    for (const id in counts) {
      if (id in old.counts && seconds > 0)
        document.getElementById(id).textContent = show(Math.max(0, counts[id] - old.counts[id]) / seconds) + "/s";
    }
    note("");
  } catch (problem) { note("No answer: " + problem.message + ". Figures may be old."); }
}
const again = () => setTimeout(async () => { if (!document.hidden) await renew(); again(); }, 2000);
again();
"""


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


#: The Content-Security-Policy to send the page with.
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_hash(_STYLE)}'; script-src 'sha256-{_hash(_SCRIPT)}';"
    " connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_PHASES = {"READY": "good", "RUNNING": "good", "STARTING": "warn", "RELOADING": "warn", "DRAINING": "dim"}


def render(house: Status) -> str:
    """Make the whole page."""
    name = _text(house["name"])
    state = "ready" if house["ready"] else "not ready"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}: {state}</title><link rel="icon" href="data:,"><style>{_STYLE}</style></head>
<body><p class="bad" id="note" role="status"></p>
<main data-at="{house["at"]:.3f}">{_head(house)}{_reload(house)}{_pools(house)}
{_foot(house)}</main><script>{_SCRIPT}</script></body></html>
"""


def _text(said: str) -> str:
    """What others said, as text that cannot be anything else."""
    return escape(as_text.plain(said, keep="\n\t"))


def _head(house: Status) -> str:
    ready = '<b class="good">ready</b>' if house["ready"] else f'<b class="bad">not ready: {_text(house["reason"])}</b>'
    return f"""<header><h1>{_text(house["name"])}</h1>{ready}
<span>{_phase(house["phase"])}</span>
<span class="dim">generation {house["generation"]} · up {as_text.age(house["at"] - house["started_at"])} ·
master {house["pid"]} · Forkful {_text(house["version"])}</span></header>"""


def _reload(house: Status) -> str:
    reload = house["reload"]
    if not reload["finished_at"]:
        return ""
    ago = as_text.age(house["at"] - reload["finished_at"])
    if reload["successful"]:
        return f'<p class="dim">Last reload: <span class="good">succeeded</span> {ago} ago.</p>'
    trace = f"<pre>{_text(reload['traceback'])}</pre>" if reload["traceback"] else ""
    return f"""<section class="card"><div><h2 class="bad">The last reload failed</h2>
<span class="dim">{ago} ago; generation {house["generation"]} serves on</span></div>
<p>{_text(reload["message"])}</p>{trace}</section>"""


def _pools(house: Status) -> str:
    seconds = max(1.0, house["at"] - house["started_at"])
    return "".join(_pool(pool, status.ended(pool) / seconds) for pool in house["pools"])


def _pool(pool: PoolStatus, mean_rate: float) -> str:
    ready, target = status.ready(pool), pool["target"]
    trouble = f'<p class="bad">{_text(pool["trouble"])}</p>' if pool["trouble"] else ""
    if pool["throttled_for"] > 0:
        trouble += f'<p class="warn">Starts are throttled: the next is in {as_text.age(pool["throttled_for"])}.</p>'
    listeners = "".join(f'<code class="dim">{_text(each["address"])}</code>' for each in pool["listeners"])
    how = f"loop {_text(pool['loop'])}, {pool['threads']} thread{'s' * (pool['threads'] > 1)}"
    drops = sum(each["drops"] or 0 for each in pool["listeners"])
    failed, ended = status.failed(pool), status.ended(pool)
    figures = (
        ("workers ready", f'<span class="{"good" if ready >= target else "bad"}">{ready}/{target}</span>'),
        ("requests now", f'<span id="rate-{pool["number"]}" data-count="{ended}">…</span>'),
        ("since start", as_text.rate(mean_rate)),
        ("requests", as_text.number(ended)),
        ("failed", f'<span class="{"bad" if failed else ""}">{as_text.number(failed)}</span>'),
        ("in flight / lanes", f"{pool['in_flight']}/{pool['lanes']}"),
        ("connections", as_text.number(pool["connections"])),
        ("queue", as_text.number(status.waiting(pool))),
        ("oldest", as_text.age(pool["oldest_seconds"])),
        ("mean duration", _mean(pool, ended)),
        ("CPU", f"{pool['cpu_seconds']:,.1f} s"),
        ("deaths", f'<span class="{"warn" if status.restarts(pool) else ""}">{status.restarts(pool)}</span>'),
        *((("dropped", f'<span class="bad">{as_text.number(drops)}</span>'),) if drops else ()),
    )
    return f"""<section class="card"><div><h2>{_text(pool["name"])}</h2><code>{_text(pool["handler"])}</code>
{listeners}<span class="dim">{how}{", preload" * pool["preload"]}</span></div>
{trouble}<dl>{"".join(f"<div><dt>{name}</dt><dd>{figure}</dd></div>" for name, figure in figures)}</dl>
{_workers(pool["workers"])}</section>"""


_COLUMNS = ("slot", "phase", "pid", "generation", "age", "memory", "requests", "in flight")


def _workers(workers: list[WorkerStatus]) -> str:
    if not workers:
        return ""
    titles = "".join(f'<th scope="col"{" class=n" * (n > 1)}>{title}</th>' for n, title in enumerate(_COLUMNS))
    rows = "".join(map(_worker, workers))
    return f"""<div class="scroll"><table><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table></div>"""


def _worker(worker: WorkerStatus) -> str:
    return f"""<tr><td>{worker["slot"]}</td><td>{_phase(worker["phase"])}</td>
<td class="n">{worker["pid"] or ""}</td><td class="n">{worker["generation"]}</td>
<td class="n">{as_text.age(worker["age"])}</td><td class="n">{as_text.size(worker["resident_bytes"])}</td>
<td class="n">{as_text.number(worker["requests"])}</td><td class="n">{worker["in_flight"]}</td></tr>"""


def _phase(phase: str) -> str:
    return f'<span class="{_PHASES.get(phase, "bad")}">{_text(phase.lower())}</span>'


def _mean(pool: PoolStatus, ended: int) -> str:
    return f"{pool['busy_seconds'] / ended * 1000:,.2f} ms" if ended else "-"


def _foot(house: Status) -> str:
    links = " · ".join(f'<a href="{page}">/{page}</a>' for page in ("metrics", "status.json", "readyz", "livez"))
    return f'<footer class="dim">{links} · here: {", ".join(map(_text, house["admin"]))}</footer>'
