/** The report's style sheet. Colours are variables, so that charts and text turn dark together. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #f8f7f4; --surface: #ffffff; --ink: #1b1b1f; --muted: #65635e; --line: #e3e0d9; --grid: #ebe9e3;
  --distilled: #3654d1; --real: #a8a399; --raw: #b7c2f2; --better: #17734a; --worse: #b3372b; --tag: #e9edfc;
  --whisker: #1b1b1f; --run: #ffffff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #121215; --surface: #1a1a1f; --ink: #ecebe7; --muted: #a3a09a; --line: #2f2f36; --grid: #27272d;
    --distilled: #8ba0ff; --real: #6f6c75; --raw: #3c4675; --better: #63d09a; --worse: #ff8f80; --tag: #262c4a;
    --whisker: #ecebe7; --run: #121215;
  }
}
* { box-sizing: border-box; margin: 0; padding: 0; }
body {
  background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif;
  font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%;
}
main { max-width: 1080px; margin: 0 auto; padding: clamp(24px, 5vw, 64px) clamp(16px, 4vw, 40px) 80px; }
h1 { font-size: clamp(28px, 4.4vw, 42px); line-height: 1.14; letter-spacing: -0.022em; font-weight: 680; text-wrap: balance; }
h2 { font-size: 21px; letter-spacing: -0.012em; font-weight: 640; margin-bottom: 16px; }
h3 { font-size: 14px; font-weight: 600; overflow-wrap: anywhere; }
section { margin-top: 28px; padding: clamp(18px, 3vw, 30px); background: var(--surface); border: 1px solid var(--line); border-radius: 14px; }
ul { list-style: none; }
.eyebrow { color: var(--muted); font-size: 14px; margin-bottom: 8px; }
.lead, .note { color: var(--muted); max-width: 68ch; }
.lead { margin-bottom: 16px; }
.note { margin-top: 16px; font-size: 14px; }
.muted { color: var(--muted); font-weight: 400; }
.better { color: var(--better); }
.worse { color: var(--worse); }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 20px 32px; margin-top: 32px; }
.figures div { display: flex; flex-direction: column-reverse; justify-content: flex-end; border-top: 3px solid var(--line); padding-top: 10px; }
.figures .distilled { border-color: var(--distilled); }
.figures .real { border-color: var(--real); color: inherit; }
.figures .better { border-color: var(--better); }
.figures .worse { border-color: var(--worse); }
.figures dd { font-size: clamp(32px, 4.4vw, 44px); line-height: 1.15; font-weight: 660; letter-spacing: -0.03em; }
.figures dd small { font-size: 0.42em; font-weight: 500; letter-spacing: 0; color: var(--muted); }
.figures dt { color: var(--muted); font-size: 14px; line-height: 1.4; margin-top: 2px; }

.facts { display: flex; flex-wrap: wrap; gap: 12px 36px; margin-top: 32px; font-size: 15px; }
.facts dt { color: var(--muted); font-size: 13px; }
.facts dd { font-weight: 550; overflow-wrap: anywhere; }

.classes { display: grid; gap: 26px 28px; }
.classes.single { grid-template-columns: repeat(auto-fill, minmax(min(100%, 156px), 1fr)); }
.classes.few { grid-template-columns: repeat(auto-fill, minmax(min(100%, 264px), 1fr)); }
.classes.many { grid-template-columns: repeat(auto-fill, minmax(min(100%, 440px), 1fr)); }
.classes h3 { margin-bottom: 7px; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 8px; }
.many .pair { gap: 16px; }
.images { display: grid; gap: 3px; }
.images img { display: block; width: 100%; height: auto; border-radius: 3px; background: var(--grid); }
.single .images img { border-radius: 6px; }
.pixelated img { image-rendering: pixelated; }
.pair figcaption { margin-top: 4px; font-size: 12.5px; line-height: 1.3; color: var(--muted); }

.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; color: var(--muted); font-size: 14px; padding-bottom: 10px; }
th, td { padding: 9px 0 9px 28px; text-align: right; white-space: nowrap; font-weight: 400; border-bottom: 1px solid var(--line); }
th:first-child { padding-left: 0; text-align: left; }
thead th { color: var(--muted); font-size: 14px; padding-top: 4px; padding-bottom: 6px; }
tbody th, td.strong { font-weight: 600; }
td.better, td.worse { font-weight: 600; }
tbody:last-child tr:last-child > *, tfoot tr > * { border-bottom: 0; }
tfoot th { color: var(--muted); }
.tag { margin-left: 6px; padding: 1px 8px 2px; border-radius: 99px; background: var(--tag); color: var(--distilled); font-size: 12.5px; font-weight: 550; }
.configuration th, .configuration td { padding: 6px 0; text-align: left; font-size: 14.5px; vertical-align: top; }
.configuration th { width: 1%; padding-right: 40px; color: var(--muted); font-weight: 400; }
.configuration td { white-space: normal; overflow-wrap: anywhere; }

figure svg { display: block; width: 100%; height: auto; }
figure svg.narrow { display: none; }
table + figure, .scroll + figure { margin-top: 32px; }
figure > figcaption { color: var(--muted); font-size: 14px; margin-top: 10px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; margin-bottom: 12px; font-size: 14px; color: var(--muted); }
.legend li { display: flex; align-items: center; gap: 8px; }
.key { width: 14px; height: 14px; border-radius: 3px; }
.key.line { height: 3px; width: 20px; border-radius: 2px; }
.key.distilled { background: var(--distilled); }
.key.real { background: var(--real); }
.key.raw { background: var(--raw); }
.key.training { width: 8px; height: 8px; border-radius: 50%; background: var(--run); border: 1.5px solid var(--whisker); }
.key.chance { width: 0; border-radius: 0; border-left: 1.5px dashed var(--whisker); }
svg text { font-size: 12.5px; fill: var(--ink); }
svg .tick, svg .title { fill: var(--muted); font-size: 12px; font-weight: 400; }
svg .name { font-weight: 600; font-size: 13.5px; }
svg .value { font-weight: 600; }
svg .grid { stroke: var(--grid); stroke-width: 1; }
svg .axis { stroke: var(--muted); stroke-width: 1; }
svg .curve { fill: none; stroke-linejoin: round; stroke-linecap: round; }
svg .curve.raw { stroke: var(--raw); stroke-width: 1; }
svg .curve.distilled { stroke: var(--distilled); stroke-width: 2.2; }
svg .dot { fill: var(--distilled); }
svg .bar.distilled { fill: var(--distilled); }
svg .bar.real { fill: var(--real); }
svg .whisker { stroke: var(--whisker); stroke-width: 1.3; fill: none; }
svg .run { fill: var(--run); stroke: var(--whisker); stroke-width: 0.9; }
svg .chance { stroke: var(--whisker); stroke-width: 1.2; stroke-dasharray: 3 4; }

@media (max-width: 560px) {
  figure svg.wide { display: none; }
  figure svg.narrow { display: block; }
  .figures { grid-template-columns: 1fr 1fr; gap: 24px 20px; }
  .accuracies th, .accuracies td { padding-left: 12px; vertical-align: top; }
  .accuracies th:first-child { padding-left: 0; }
  .accuracies { font-size: 15px; }
  .accuracies th { white-space: normal; }
  .accuracies thead th { font-size: 13px; vertical-align: bottom; }
  .accuracies td .muted, .tag { display: block; width: fit-content; margin-left: auto; }
  .tag { margin-left: -2px; }
  .accuracies tr > :nth-child(5) { display: none; }
  .configuration tr { display: block; padding: 6px 0; border-bottom: 1px solid var(--line); }
  .configuration th, .configuration td { display: block; width: auto; padding: 0; border: 0; white-space: normal; }
  .classes.single { grid-template-columns: 1fr 1fr; gap: 22px 18px; }
}
@media print {
  :root { --paper: #ffffff; --surface: #ffffff; }
  body { font-size: 11pt; }
  section { border: 0; padding: 0; break-inside: auto; }
  .classes li, figure, tr { break-inside: avoid; }
}
`
