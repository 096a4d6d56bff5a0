"""The style of the audit's page: light or dark, from narrow to wide screens."""

CSS = """
:root{--ground:#fbfaf7;--card:#fff;--ink:#22262b;--soft:#5d646d;--line:#e4e2db;--rail:#efede6;
--f0:#1f7a6d;--f1:#7cbcae;--f2:#c98a1b;--f3:#8b93a0;--f4:#b4433b;--f5:#a9693f;--warm:#8a5a00;
--warm-ground:#fbf0d9;--hot:#9a2f28;--hot-ground:#fbe6e3}
@media (prefers-color-scheme:dark){:root{--ground:#14171a;--card:#1b1f23;--ink:#e7e9ea;
--soft:#a3abb3;--line:#2c3238;--rail:#262b30;
--f0:#4fb8a6;--f1:#2f6f66;--f2:#dba544;--f3:#7b8490;--f4:#e0736a;--f5:#c98a60;--warm:#efc67a;
--warm-ground:#3a2f17;--hot:#f2a49d;--hot-ground:#40211f}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
main{max-width:62rem;margin:0 auto;padding:clamp(1.25rem,4vw,3.5rem) clamp(1rem,4vw,2rem)}
header{margin-bottom:2.5rem}
.over{margin:0 0 .4rem;color:var(--soft);font-size:.9rem}
h1{margin:0 0 .4rem;font-size:clamp(2rem,7vw,3.2rem);line-height:1.1;letter-spacing:-.02em;
font-weight:650}
h2{margin:0 0 .2rem;font-size:1.2rem;letter-spacing:-.01em}
h3{margin:1.6rem 0 .4rem;font-size:1rem}
.lead{margin:0 0 1.1rem;color:var(--soft);max-width:46rem}
section{background:var(--card);border:1px solid var(--line);border-radius:14px;
padding:clamp(1rem,3vw,1.75rem);margin:0 0 1.25rem}
.bar{display:block;width:100%;border-radius:4px}
header .bar{border-radius:7px;margin:1.2rem 0 1rem}
.rail{fill:var(--rail)}.f0{fill:var(--f0)}.f1{fill:var(--f1)}.f2{fill:var(--f2)}
.f3{fill:var(--f3)}.f4{fill:var(--f4)}.f5{fill:var(--f5)}.dim{opacity:.45}
.keys{list-style:none;display:grid;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));
gap:.7rem 1.4rem;margin:0;padding:0}
.keys li{display:flex;gap:.6rem;align-items:baseline}
.keys small{display:block;color:var(--soft)}
.key{flex:none;width:.8rem;height:.8rem;border-radius:3px}
.key.f0{background:var(--f0)}.key.f1{background:var(--f1)}.key.f2{background:var(--f2)}
.key.f3{background:var(--f3)}.key.f4{background:var(--f4)}.key.f5{background:var(--f5)}
.plot{display:grid;gap:.95rem}
.row{display:grid;grid-template-columns:1fr auto;gap:.2rem 1rem;align-items:baseline}
.row .bar,.row small{grid-column:1/-1}
.row small{color:var(--soft);font-size:.85rem;overflow-wrap:anywhere}
.row small:empty{display:none}
.label{overflow-wrap:anywhere;min-width:0}
.figure,.num{font-variant-numeric:tabular-nums;text-align:right;white-space:nowrap}
.figure{font-weight:600}.figure i{font-style:normal;font-weight:400;color:var(--soft);
margin-left:.4em}
code,pre{font:.875em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
pre{background:var(--rail);border-radius:8px;padding:.8rem 1rem;overflow-x:auto;margin:.6rem 0}
.badge{display:inline-block;padding:0 .5em;border-radius:99px;background:var(--rail);
color:var(--soft);white-space:nowrap;margin-right:.25rem}
.badge.warm{background:var(--warm-ground);color:var(--warm)}
.badge.hot{background:var(--hot-ground);color:var(--hot)}
details{margin-top:1.1rem}details+details{margin-top:.4rem}
summary{cursor:pointer;color:var(--soft);padding:.3rem 0}
summary:focus-visible,.scroll:focus-visible{outline:2px solid var(--f0);outline-offset:3px;
border-radius:4px}
details .plot{margin-top:.9rem}
.note{color:var(--soft);font-size:.9rem;margin:.8rem 0 0}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.95rem}
th{font-weight:500;color:var(--soft);text-align:left;font-size:.85rem}th.num{text-align:right}
th,td{padding:.42rem .9rem .42rem 0;border-bottom:1px solid var(--line);vertical-align:baseline}
th:last-child,td:last-child{padding-right:0}
tr:last-child td{border-bottom:0}
td{overflow-wrap:break-word;min-width:5rem}td code{overflow-wrap:anywhere}
@media (max-width:36rem){thead{position:absolute;width:1px;height:1px;overflow:hidden;
clip-path:inset(50%)}
table,tbody,tr,td{display:block;min-width:0}tr{padding:.55rem 0;
border-bottom:1px solid var(--line)}tr:last-child{border-bottom:0}
td{border:0;padding:.1rem 0;overflow-wrap:anywhere}td:first-child{font-weight:600}
td.num{display:flex;justify-content:space-between;gap:1rem;white-space:normal}
td[data-of]::before{content:attr(data-of);color:var(--soft);font-weight:400}
td:not(.num)[data-of]::before{content:none}}
footer{color:var(--soft);font-size:.85rem;margin-top:2rem}
@media (min-width:46rem){.row{grid-template-columns:15rem 1fr 8rem;align-items:center}
.row .label{grid-row:1;grid-column:1}
.row .bar{grid-row:1;grid-column:2}.row .figure{grid-row:1;grid-column:3}
.row small{grid-column:2/-1;margin-bottom:.15rem}}
@media print{section{break-inside:avoid;border-color:#ccc}body{background:#fff}}
"""
