"""How the page looks: from 320 pixels of width up, and on paper."""

CSS = """
:root { color-scheme: light; --ink: #1c2024; --soft: #5b6570; --rule: #d9dee3; --ground: #fff; --band: #f5f7f9; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1200px; padding: 16px; background: var(--ground); color: var(--ink);
       font: 16px/1.45 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0 0 4px; } h2 { font-size: 1.2rem; margin: 32px 0 8px; } h3 { font-size: 1rem; }
p { margin: 4px 0; } .soft { color: var(--soft); }
.scroll { overflow-x: auto; border: 1px solid var(--rule); border-radius: 6px; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; overflow-wrap: normal; }
th, td { text-align: left; padding: 6px 10px; border-bottom: 1px solid var(--rule); vertical-align: top; }
th { background: var(--band); font-weight: 600; white-space: nowrap; }
tr:last-child > * { border-bottom: 0; } td.number { text-align: right; font-variant-numeric: tabular-nums; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 340px), 1fr)); gap: 16px; }
.edges { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 270px), 1fr)); gap: 12px; }
figure { margin: 0; padding: 10px; border: 1px solid var(--rule); border-radius: 6px; min-width: 0; }
figcaption { font-size: .9rem; font-weight: 600; margin-bottom: 4px; }
svg { display: block; width: 100%; height: auto; } svg text { font-size: 11px; fill: var(--soft); }
.end { text-anchor: end; } .middle { text-anchor: middle; } .grid { stroke: var(--rule); stroke-width: 1; }
polyline, .swatch line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.s0 { stroke: #0072b2; } .s1 { stroke: #d55e00; } .s2 { stroke: #007a5a; } .s3 { stroke: #b0468a; }
.s4 { stroke: #a87000; } .s5 { stroke: #2f9fd8; } .s6 { stroke: #444; } .s7 { stroke: #6a3d9a; }
circle { fill: var(--ground); stroke-width: 1.5; } .dashed { stroke-dasharray: 6 4; }
circle.dashed { stroke-dasharray: none; }
.legend { list-style: none; margin: 6px 0 0; padding: 0; display: flex; flex-wrap: wrap; gap: 2px 14px;
          font-size: .82rem; }
.swatch { display: inline-block; width: 24px; height: 8px; margin-right: 6px; vertical-align: middle; }
.map { display: grid; grid-template-columns: auto minmax(0, 1fr) auto; gap: 6px; font-size: 11px; line-height: 15px; }
.map span { display: block; height: 15px; white-space: nowrap; } .finals { text-align: right; }
.map img { width: 100%; height: calc(var(--rows) * 15px); image-rendering: pixelated; }
.best { font-weight: 700; } .bar { width: 90px; height: 10px; vertical-align: middle; }
.scale { font-size: .85rem; color: var(--soft); margin: 8px 0; }
.cells { overflow-x: auto; } .cells img { min-width: 560px; width: 100%; max-width: 900px; display: block; }
details { margin: 8px 0; } summary { cursor: pointer; font-weight: 600; padding: 4px 0; }
@media (max-width: 600px) {
  th { white-space: normal; } th[scope=row] { position: sticky; left: 0; width: 110px; } td { min-width: 135px; }
}
@media print { details { break-inside: avoid; } }
"""
