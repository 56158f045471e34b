// Up to six maps of the same images beside each other: one legend, one selection, one camera.
import { createRenderer } from "regl-scatterplot";
import { Panel } from "./panel.js";
import { picture } from "./picture.js";
import { STYLE } from "./style.js";
import { Tip } from "./tip.js";

const KEPT = 60;
const MODES = [["lasso", "Lasso"], ["box", "Box"], ["move", "Move"]];
const HELP = "Drag to select; Shift adds, Alt takes away; click a point for its neighbours; the wheel zooms. " +
  "Keys on a map: arrows move, + and - zoom, 0 shows all, Escape clears.";
const files = new Map();

// What was fetched stays: its address is a hash of its content.
function load(address) {
  if (!files.has(address)) {
    const coming = fetch(address).then((answer) => {
      if (!answer.ok) throw new Error("gone");
      return answer.arrayBuffer();
    });
    coming.catch(() => files.delete(address));
    files.set(address, coming);
    if (files.size > KEPT) files.delete(files.keys().next().value);
  }
  return files.get(address);
}

function works() {
  const gl = document.createElement("canvas").getContext("webgl");
  const able = Boolean(gl?.getExtension("OES_texture_float"));
  gl?.getExtension("WEBGL_lose_context")?.loseContext();
  return able;
}

class Maps {
  constructor(parent) {
    this.box = document.createElement("div");
    this.box.className = "maps";
    const style = document.createElement("style");
    style.textContent = STYLE;
    this.bar = document.createElement("div");
    this.bar.className = "bar";
    this.bar.setAttribute("role", "toolbar");
    this.bar.setAttribute("aria-label", "What dragging on a map does");
    this.legend = document.createElement("div");
    this.grid = document.createElement("div");
    this.grid.className = "grid";
    this.box.append(style, this.bar, this.legend, this.grid);
    parent.append(this.box);
    this.tip = new Tip(this.box);
    this.panels = new Map();
    this.busy = Promise.resolve();
    this.mode = "lasso";
    this.linked = true;
    this.buttons();
  }

  buttons() {
    const button = (text, pressed, act, title = "") => {
      const made = document.createElement("button");
      made.type = "button";
      made.textContent = text;
      if (pressed !== null) made.setAttribute("aria-pressed", pressed);
      if (title) made.title = title;
      made.onclick = () => act(made);
      this.bar.append(made);
      return made;
    };
    const each = (act) => () => this.linked ? act([...this.panels.values()][0]) : this.panels.forEach(act);
    this.modes = MODES.map(([name, text]) => button(text, name === this.mode, () => this.setMode(name), HELP));
    button("+", null, each((panel) => panel.zoom(0.75))).setAttribute("aria-label", "Zoom in");
    button("−", null, each((panel) => panel.zoom(1 / 0.75))).setAttribute("aria-label", "Zoom out");
    button("Show all", null, () => this.panels.forEach((panel) => panel.plot?.reset()));
    this.dense = button("Density", false, (made) => {
      const on = made.getAttribute("aria-pressed") !== "true";
      made.setAttribute("aria-pressed", on);
      this.panels.forEach((panel) => panel.dense(on));
    }, "Points are fainter where many overlap, so that dense places stand out");
    button("Save as PNG", null, () => this.save());
    this.link = button("Move together", true, (made) => {
      this.linked = !this.linked;
      made.setAttribute("aria-pressed", this.linked);
    }, "One camera for all maps");
  }

  save() {
    const panels = [...this.panels.values()].filter((panel) => panel.about.count);
    const ground = this.ground;
    this.busy = this.busy.then(async () => {
      const made = document.createElement("a");
      made.href = URL.createObjectURL(await picture(panels, this.data, this.renderer, ground));
      made.download = "maps.png";
      made.click();
      URL.revokeObjectURL(made.href);
      this.fit();
    }).catch((error) => this.fail(error));
  }

  // What all maps are drawn on, one after the other, is as large as the largest: a window's size takes many times as long.
  fit() {
    const boxes = [...this.panels.values()].filter((panel) => panel.plot).map((panel) => panel.canvas.getBoundingClientRect());
    const [width, height] = ["width", "height"].map((side) => Math.max(50, ...boxes.map((box) => Math.ceil(box[side]))));
    this.renderer.resize(width, height);
    this.renderer.refresh();
    this.panels.forEach((panel) => panel.plot?.redraw());
  }

  setMode(name) {
    this.mode = name;
    this.modes.forEach((button, number) => button.setAttribute("aria-pressed", MODES[number][0] === name));
    this.panels.forEach((panel) => panel.mode(name));
  }

  update(component) {
    this.component = component;
    this.busy = this.busy.then(() => this.apply(component)).catch((error) => this.fail(error));
  }

  tell(name, value) {
    this.component.setTriggerValue(name, value);
  }

  told() {
    return {
      drawn: (panel, corners, how) => {
        panel.touched = true;
        this.tell("drawn", { panel: panel.about.name, corners, how });
      },
      clicked: (panel, image, how) => {
        panel.touched = true;
        this.tell("clicked", { image, how });
      },
      cleared: () => this.tell("cleared", true),
      moved: (event) => this.tip.place(event),
      over: (panel, id) => this.tip.show(this.data, panel.about, id, this.meaning(panel)),
      resized: () => this.fit(),
      left: () => this.tip.hide(),
      viewed: (panel, view) => {
        if (!this.linked) return;
        for (const other of this.panels.values()) if (other !== panel) other.plot?.view(view, { preventEvent: true });
      },
    };
  }

  // What the colour of the point under the pointer says, where it is one of a few names.
  meaning(panel) {
    const entry = this.data.legend[panel.codes?.[panel.over]];
    return entry && this.data.told ? `${this.data.meaning}: ${entry.name}` : "";
  }

  async apply(component) {
    const data = component.data;
    this.data = data;
    if (!this.renderer) {
      if (!works()) {
        this.tell("failed", "webgl");
        return;
      }
      this.renderer = createRenderer({ canvas: document.createElement("canvas") });
    }
    this.box.style.setProperty("--columns", Math.min(data.panels.length, data.panels.length > 4 ? 3 : 2));
    this.box.style.setProperty("--height", data.panels.length > 2 ? "360px" : "520px");
    this.names(data);
    for (const [name, panel] of this.panels) {
      if (data.panels.some((about) => about.name === name)) continue;
      panel.end();
      this.panels.delete(name);
    }
    for (const about of data.panels) {
      if (!this.panels.has(about.name)) this.panels.set(about.name, new Panel(this.renderer, load, this.told()));
      this.grid.append(this.panels.get(about.name).box);
    }
    const ground = getComputedStyle(this.box).getPropertyValue("--st-background-color").trim() || "#ffffff";
    this.ground = ground;
    const under = new Set(data.legend.flatMap((entry, code) => (entry.under ? [code] : [])));
    for (const about of data.panels) {
      const panel = this.panels.get(about.name);
      try {
        await panel.show(about, data, { colours: data.colours, ground, under });
        panel.codes = about.count ? new Uint8Array(await load(about.codes)) : null;
        panel.mode(this.mode);
      } catch (error) {
        if (error instanceof RangeError) throw error;
        panel.failed("The points of this map could not be loaded. Reload the page.");
      }
    }
    const first = [...this.panels.values()].find((panel) => panel.isDense !== undefined);
    if (first) this.dense.setAttribute("aria-pressed", first.isDense);
    this.link.hidden = data.panels.length < 2;
  }

  names(data) {
    const text = JSON.stringify([data.legend, data.scale]);
    if (text === this.named) return;
    this.named = text;
    if (data.scale) {
      const line = document.createElement("div");
      line.className = "scale";
      const bar = document.createElement("i");
      bar.style.background = `linear-gradient(90deg, ${data.colours.slice(0, -1).join()})`;
      line.append(`${data.meaning}: ${data.scale[0]}`, bar, data.scale[1]);
      this.legend.replaceChildren(line);
      return;
    }
    const list = document.createElement("ul");
    list.className = "legend";
    list.setAttribute("aria-label", `Colours: ${data.meaning}. Press one to hide or show its points.`);
    data.legend.forEach((entry, code) => {
      const item = document.createElement("li");
      const made = document.createElement("button");
      made.type = "button";
      made.setAttribute("aria-pressed", !entry.hidden);
      const dot = document.createElement("i");
      dot.style.background = data.colours[code];
      dot.style.borderColor = data.colours[code];
      made.append(dot, `${entry.name} ${entry.count}`);
      made.onclick = () => this.tell("toggled", entry.name);
      item.append(made);
      list.append(item);
    });
    const focused = [...this.legend.querySelectorAll("button")].indexOf(this.legend.getRootNode().activeElement);
    this.legend.replaceChildren(list);
    if (focused >= 0) list.querySelectorAll("button")[focused]?.focus();
  }

  fail(error) {
    if (error instanceof RangeError) this.tell("failed", "memory");
    else console.error(error);
  }

  end() {
    this.panels.forEach((panel) => panel.end());
    this.renderer?.destroy();
    this.box.remove();
  }
}

const shown = new WeakMap();

export function show(component) {
  const parent = component.parentElement;
  if (!shown.has(parent)) shown.set(parent, new Maps(parent));
  shown.get(parent).update(component);
}

export function end(parent) {
  shown.get(parent)?.end();
  shown.delete(parent);
}
