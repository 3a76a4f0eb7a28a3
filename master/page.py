"""The status page: one self-contained HTML document that renews itself, light or dark as its reader's system is.

Everything in it comes from a status document and is escaped. Its policy (`POLICY`) names the hashes of the one style
and the one script, so nothing that slips in could run; the script only fetches the page again.
Can go wrong: nothing.
"""

import base64
import hashlib
from html import escape

from forkful.master import status, words
from forkful.master.status import PoolStatus, Status, WorkerStatus

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2129; --dim: #667085; --page: #f6f7f9; --card: #fff; --line: #e4e7ec;
        --good: #16794a; --warn: #a15c00; --bad: #b42318; --bar: #3b6fd8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8ec; --dim: #98a2b3; --page: #14161a; --card: #1d2026; --line: #2d323b;
          --good: #4cc38a; --warn: #f0a848; --bad: #ff7b72; --bar: #6f9bff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem; background: var(--page); color: var(--ink);
       font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.1rem; margin: 0; }
header, .card > div:first-child { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline; }
.dim { color: var(--dim); } .good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem; margin: 1rem 0; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: .6rem 1rem; margin: .8rem 0; }
dt { color: var(--dim); font-size: .8rem; } dd { margin: 0; font-size: 1.15rem; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 500; font-size: .8rem; color: var(--dim); }
th, td { padding: .25rem .8rem .25rem 0; border-top: 1px solid var(--line); white-space: nowrap; }
td.n, th.n { text-align: right; }
pre { overflow-x: auto; padding: .8rem; background: var(--page); border-radius: .4rem; font-size: .85rem; }
code { font-size: .9em; } a { color: var(--bar); }
"""

# Renews <main> every two seconds while somebody looks, and makes rates of what was counted in between.
_SCRIPT = """
const counted = () => [...document.querySelectorAll("[data-count]")];
const read = () => Object.fromEntries(counted().map(each => [each.id, +each.dataset.count]));
const stamp = () => +document.querySelector("main").dataset.at;
const show = n => n >= 100 ? Math.round(n).toLocaleString("en") : n.toFixed(n >= 1 || n === 0 ? 1 : 2);
const note = text => { document.getElementById("note").textContent = text; };
async function renew() {
  if (document.hidden) return;
  const old = { at: stamp(), counts: read() };
  try {
    const answer = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(6000) });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const main = page.querySelector("main");
    if (!main) throw new Error("HTTP " + answer.status);
    document.title = page.title;
    document.querySelector("main").replaceWith(document.adoptNode(main));
    const seconds = stamp() - old.at, counts = read();
    for (const id in counts) {
      if (id in old.counts && seconds > 0)
        document.getElementById(id).textContent = show(Math.max(0, counts[id] - old.counts[id]) / seconds) + "/s";
    }
    note("");
  } catch (problem) { note("No answer: " + problem.message + ". Figures may be old."); }
}
setInterval(renew, 2000);
"""


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


#: The Content-Security-Policy to send the page with.
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_hash(_STYLE)}'; script-src 'sha256-{_hash(_SCRIPT)}';"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_PHASES = {"READY": "good", "RUNNING": "good", "STARTING": "warn", "RELOADING": "warn", "DRAINING": "dim"}


def render(house: Status) -> str:
    """Make the whole page."""
    name = escape(house["name"])
    state = "ready" if house["ready"] else "not ready"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}: {state}</title><style>{_STYLE}</style></head>
<body><main data-at="{house["at"]:.3f}">{_head(house)}{_reload(house)}{_pools(house)}
{_foot(house)}</main><p class="bad" id="note"></p><script>{_SCRIPT}</script></body></html>
"""


def _head(house: Status) -> str:
    ready = (
        '<b class="good">ready</b>' if house["ready"] else f'<b class="bad">not ready: {escape(house["reason"])}</b>'
    )
    return f"""<header><h1>{escape(house["name"])}</h1>{ready}
<span>{_phase(house["phase"])}</span>
<span class="dim">generation {house["generation"]} · up {words.age(house["at"] - house["started_at"])} ·
master {house["pid"]} · Forkful {escape(house["version"])}</span></header>"""


def _reload(house: Status) -> str:
    reload = house["reload"]
    if not reload["finished_at"]:
        return ""
    ago = words.age(house["at"] - reload["finished_at"])
    if reload["successful"]:
        return f'<p class="dim">Last reload: <span class="good">succeeded</span> {ago} ago.</p>'
    trace = f"<pre>{escape(reload['traceback'])}</pre>" if reload["traceback"] else ""
    return f"""<section class="card"><div><h2 class="bad">The last reload failed</h2>
<span class="dim">{ago} ago; generation {house["generation"]} serves on</span></div>
<p>{escape(reload["message"])}</p>{trace}</section>"""


def _pools(house: Status) -> str:
    seconds = max(1.0, house["at"] - house["started_at"])
    return "".join(_pool(pool, status.ended(pool) / seconds) for pool in house["pools"])


def _pool(pool: PoolStatus, mean_rate: float) -> str:
    ready, target = status.ready(pool), pool["target"]
    trouble = f'<p class="bad">{escape(pool["trouble"])}</p>' if pool["trouble"] else ""
    if pool["throttled_for"] > 0:
        trouble += f'<p class="warn">Starts are throttled: the next is in {words.age(pool["throttled_for"])}.</p>'
    listeners = " ".join(f"<code>{escape(each['address'])}</code>" for each in pool["listeners"])
    drops = sum(each["drops"] or 0 for each in pool["listeners"])
    failed, ended = status.failed(pool), status.ended(pool)
    figures = (
        ("workers ready", f'<span class="{"good" if ready >= target else "bad"}">{ready}/{target}</span>'),
        ("requests now", f'<span id="rate-{pool["number"]}" data-count="{ended}">…</span>'),
        ("since start", words.rate(mean_rate)),
        ("requests", words.number(ended)),
        ("failed", f'<span class="{"bad" if failed else ""}">{words.number(failed)}</span>'),
        ("in flight / lanes", f"{pool['in_flight']}/{pool['lanes']}"),
        ("connections", words.number(pool["connections"])),
        ("waiting", words.number(status.waiting(pool))),
        ("oldest", words.age(pool["oldest_seconds"])),
        ("mean duration", _mean(pool, ended)),
        ("CPU", f"{pool['cpu_seconds']:,.1f} s"),
        ("deaths", f'<span class="{"warn" if status.restarts(pool) else ""}">{status.restarts(pool)}</span>'),
        *((("dropped", f'<span class="bad">{words.number(drops)}</span>'),) if drops else ()),
    )
    return f"""<section class="card"><div><h2>{escape(pool["name"])}</h2><code>{escape(pool["handler"])}</code>
<span class="dim">{listeners} {escape(pool["loop"])}, {pool["threads"]} thread{"s" * (pool["threads"] > 1)}
{", preload" * pool["preload"]}</span></div>
{trouble}<dl>{"".join(f"<div><dt>{name}</dt><dd>{figure}</dd></div>" for name, figure in figures)}</dl>
<div class="scroll"><table><thead><tr><th class="n">slot</th><th>phase</th><th class="n">pid</th>
<th class="n">generation</th><th class="n">age</th><th class="n">memory</th>
<th class="n">requests</th><th class="n">in flight</th></tr></thead>
<tbody>{"".join(_worker(worker) for worker in pool["workers"])}</tbody></table></div></section>"""


def _worker(worker: WorkerStatus) -> str:
    return f"""<tr><td class="n">{worker["slot"]}</td><td>{_phase(worker["phase"])}</td>
<td class="n">{worker["pid"] or ""}</td><td class="n">{worker["generation"]}</td>
<td class="n">{words.age(worker["age"])}</td><td class="n">{words.size(worker["resident_bytes"])}</td>
<td class="n">{words.number(worker["requests"])}</td><td class="n">{worker["in_flight"]}</td></tr>"""


def _phase(phase: str) -> str:
    return f'<span class="{_PHASES.get(phase, "bad")}">{escape(phase.lower())}</span>'


def _mean(pool: PoolStatus, ended: int) -> str:
    return f"{pool['busy_seconds'] / ended * 1000:,.2f} ms" if ended else "-"


def _foot(house: Status) -> str:
    links = " · ".join(f'<a href="{path}">{path}</a>' for path in ("/metrics", "/status.json", "/readyz", "/livez"))
    return f'<footer class="dim">{links} · here: {", ".join(map(escape, house["admin"]))}</footer>'
