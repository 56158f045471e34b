// What the maps look like, in the page's own colours.
export const STYLE = `
.maps { color: var(--st-text-color); font: 13px/1.4 var(--st-font); position: relative; }
.bar { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; margin-bottom: 6px; }
.bar button { font: inherit; color: inherit; background: var(--st-secondary-background-color); cursor: pointer;
  border: 1px solid var(--st-border-color, #8888); border-radius: 7px; padding: 3px 9px; min-height: 28px; }
.bar button[aria-pressed=true] { border-color: var(--st-primary-color); box-shadow: inset 0 0 0 1px var(--st-primary-color); }
.bar .gap { flex: 1; }
button:focus-visible, canvas:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px; margin: 0 0 8px; padding: 0; list-style: none; }
.legend button { display: flex; gap: 6px; align-items: center; font: inherit; color: inherit; background: none; cursor: pointer;
  border: 1px solid transparent; border-radius: 7px; padding: 2px 7px; min-height: 26px; max-width: 30em; overflow-wrap: anywhere; }
.legend button:hover { border-color: var(--st-border-color, #8888); }
.legend i { width: 12px; height: 12px; border-radius: 50%; flex: none; border: 2px solid transparent; }
.legend button[aria-pressed=false] { text-decoration: line-through; }
.legend button[aria-pressed=false] i { background: none !important; }
.scale { display: flex; gap: 8px; align-items: center; margin-bottom: 8px; }
.scale i { width: 180px; height: 10px; border-radius: 3px; }
.grid { display: grid; gap: 14px; grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); }
@media (max-width: 640px) { .grid { grid-template-columns: minmax(0, 1fr); } }
.panel { border: 1px solid var(--st-border-color, #8888); border-radius: 9px; padding: 10px; min-width: 0; }
.panel h3 { font: 600 14px/1.4 var(--st-font); margin: 0 0 6px; overflow-wrap: anywhere; }
.panel canvas { display: block; width: 100%; aspect-ratio: 1; max-height: var(--height); touch-action: none; border-radius: 5px; }
.panel p { margin: 6px 0 0; }
.failed { color: inherit; border-left: 3px solid #D62728; padding-left: 8px; }
.tip { position: absolute; z-index: 5; pointer-events: none; display: flex; gap: 9px; max-width: 320px; padding: 8px;
  background: var(--st-background-color); border: 1px solid var(--st-border-color, #8888); border-radius: 8px;
  box-shadow: 0 3px 12px #0004; }
.tip[hidden] { display: none; }
.tip img { width: 84px; height: 84px; border-radius: 5px; flex: none; }
.tip b { display: block; overflow-wrap: anywhere; }
.tip span { display: block; }
`;
