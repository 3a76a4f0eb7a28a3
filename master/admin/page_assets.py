"""What the status page is dressed in: its one style, its one script, and the policy that allows nothing else."""

import base64
import hashlib

STYLE = """
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
.scroll { overflow-x: auto; position: relative; margin-top: .8rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 500; font-size: .8rem; color: var(--dim); }
th, td { padding: .25rem .8rem .25rem 0; border-top: 1px solid var(--line); white-space: nowrap; }
td.n, th.n { text-align: right; }
pre { overflow-x: auto; padding: .8rem; background: var(--page); border-radius: .4rem; font-size: .85rem; }
code { font-size: .9em; } a { color: var(--bar); }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(19rem, 100%), 1fr)); gap: .8rem; }
.chart { margin: 0; border: 1px solid var(--line); border-radius: .4rem; padding: .4rem .5rem; min-width: 0; }
.chart figcaption { display: flex; flex-wrap: wrap; gap: 0 .8rem; font-size: .8rem;
                    font-variant-numeric: tabular-nums; }
.chart .latest { display: flex; flex-wrap: wrap; gap: 0 .6rem; } .chart .dim { margin-left: auto; }
.chart svg { display: block; width: 100%; height: 4.5rem; }
.chart path { fill: none; stroke: currentColor; stroke-width: 1.5; vector-effect: non-scaling-stroke; }
.chart .marks line { stroke: currentColor; stroke-width: 1; stroke-dasharray: 3 2; vector-effect: non-scaling-stroke; }
.alarm { border-color: var(--bad); box-shadow: inset .25rem 0 var(--bad); }
.main { color: var(--bar); } .second { color: var(--warn); } .third { color: var(--bad); }
.lanes { display: flex; flex-wrap: wrap; gap: 2px; list-style: none; margin: 0; padding: 0; min-width: 9rem; }
.lanes li { width: .8rem; height: .8rem; border-radius: 2px; border: 1px solid var(--dim); }
.lanes .busy { background: var(--bar); border-color: var(--bar); }
.lanes .long { background: var(--warn); border-color: var(--warn); }
.lanes .stuck { background: var(--bad); border-color: var(--bad); border-radius: 50%; }
.lanes .loop { width: auto; height: auto; padding: 0 .3rem; font-size: .75rem; line-height: 1.2; }
.alarms { margin: .5rem 0; padding: 0; list-style: none; } .alarms li::before { content: "▲ "; }
.events { margin: .3rem 0 0; padding: 0; list-style: none; font-size: .85rem; max-height: 14rem; overflow-y: auto; }
:focus-visible { outline: 2px solid var(--bar); outline-offset: 1px; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (prefers-reduced-motion: no-preference) { .chart path { transition: stroke .2s; } }
#note { position: sticky; top: 0; margin: 0; background: var(--page); }
"""

# Renews <main> every two seconds while somebody looks, and makes rates of what was counted in between. Only what is
# different is changed, so that what somebody selects, scrolled or has the focus on stays as it is.
SCRIPT = """
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
    f"default-src 'none'; style-src 'sha256-{_hash(STYLE)}'; script-src 'sha256-{_hash(SCRIPT)}';"
    " connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
