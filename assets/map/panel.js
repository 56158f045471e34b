// One map: its points on a canvas, drawn by WebGL; what the hand does on it goes to `told`.
import createScatterplot from "regl-scatterplot";

const MOST_CORNERS = 400;
const STILL_PX = 4;
const FADED = 0.12;
const DENSE_FROM = 20_000;

export class Panel {
  constructor(renderer, load, told) {
    Object.assign(this, { renderer, load, told, drawn: "", filtered: "", chosen: "", over: -1, ids: new Uint32Array() });
    this.box = document.createElement("div");
    this.box.className = "panel";
    this.box.setAttribute("role", "group");
    this.title = document.createElement("h3");
    this.canvas = document.createElement("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.note = document.createElement("p");
    this.box.append(this.title, this.canvas, this.note);
    this.listen();
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("mousedown", (event) => (this.down = [event.clientX, event.clientY]));
    this.released = (event) => (this.keys = event);
    window.addEventListener("mouseup", this.released, true);
    canvas.addEventListener("click", (event) => {
      const [x, y] = this.down ?? [0, 0];
      const still = Math.hypot(event.clientX - x, event.clientY - y) < STILL_PX;
      if (still && this.over >= 0) this.told.clicked(this, this.ids[this.over], how(event));
    });
    canvas.addEventListener("mousemove", (event) => this.told.moved(event));
    canvas.addEventListener("mouseleave", () => this.told.left());
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  start() {
    const { width, height } = this.canvas.getBoundingClientRect();
    this.plot = createScatterplot({
      renderer: this.renderer,
      canvas: this.canvas,
      width: Math.max(width, 50),
      height: Math.max(height, 50),
      actionKeyMap: { merge: "shift", remove: "alt" },
      lassoColor: [0.5, 0.5, 0.5, 1],
      deselectOnDblClick: false,
      deselectOnEscape: false,
      opacityInactiveScale: FADED,
      pointOutlineWidth: 1,
      pointSizeSelected: 1.5,
      colorBy: "valueA",
    });
    this.plot.subscribe("pointover", (at) => {
      this.over = at;
      this.told.over(this, this.ids[at]);
    });
    this.plot.subscribe("pointout", () => {
      this.over = -1;
      this.told.left();
    });
    this.plot.subscribe("lassoEnd", ({ coordinates }) => {
      if (coordinates.length < 3) return;
      const step = Math.ceil(coordinates.length / MOST_CORNERS);
      const corners = coordinates.filter((_, number) => number % step === 0);
      this.told.drawn(this, corners.flat().map((value) => Number(value.toFixed(5))), how(this.keys ?? {}));
    });
    this.plot.subscribe("view", ({ view }) => this.told.viewed(this, view));
    this.resized = new ResizeObserver(() => {
      const box = this.canvas.getBoundingClientRect();
      if (box.width === 0) return;
      this.plot.set({ width: box.width, height: box.height });
      this.told.resized();
    });
    this.resized.observe(this.canvas);
    this.told.resized();
  }

  async show(about, data, dress) {
    this.about = about;
    this.title.textContent = about.title;
    this.box.setAttribute("aria-label", about.title);
    this.canvas.setAttribute("aria-label", about.alt);
    this.note.textContent = about.note;
    this.note.className = "";
    this.canvas.hidden = about.count === 0;
    if (about.count === 0) return;
    if (!this.plot) this.start();
    // Whoever leaves the page destroys the plot, also while a step waits; the next step would complain.
    for (const step of [() => this.points(about, dress), () => this.shown(about), () => this.select(data)]) {
      if (!this.gone) await step();
    }
    if (this.gone) return;
    this.canvas.dataset.ready = String(this.ids.length);
  }

  async points(about, dress) {
    const wanted = [about.ids, about.places, about.codes].join();
    const colours = dress.colours.join();
    if (colours !== this.colours || dress.ground !== this.ground) {
      this.plot.set({ pointColor: dress.colours, pointColorActive: dress.colours, backgroundColor: dress.ground });
      this.plot.set({ pointColorHover: dress.colours });
      this.colours = colours;
      this.ground = dress.ground;
    }
    if (wanted === this.drawn) return;
    const [ids, places, codes] = await Promise.all([about.ids, about.places, about.codes].map(this.load));
    if (this.gone) return;
    this.ids = new Uint32Array(ids);
    const xy = new Float32Array(places);
    const z = Float32Array.from(new Uint8Array(codes));
    const x = new Float32Array(z.length);
    const y = new Float32Array(z.length);
    for (let i = 0; i < z.length; i++) {
      x[i] = xy[2 * i];
      y[i] = xy[2 * i + 1];
    }
    const same = this.places === about.places;
    const options = { zDataType: "categorical", spatialIndex: same ? this.plot.get("spatialIndex") : undefined };
    this.plot.set({ pointOrder: dress.under.size ? ordered(z, dress.under) : null, pointSize: size(z.length) });
    // Rings around selected points are not seen where points are many, and take most of the time of drawing them.
    this.plot.set({ pointOutlineWidth: z.length > DENSE_FROM ? 0 : 1 });
    if (!same) this.dense(z.length > DENSE_FROM);
    await this.plot.draw({ x, y, z }, options);
    Object.assign(this, { drawn: wanted, places: about.places, filtered: "", chosen: "" });
  }

  async shown(about) {
    if (about.shown === this.filtered) return;
    this.visible = about.shown && new Uint8Array(await this.load(about.shown));
    if (this.gone) return;
    if (!about.shown) await this.plot.unfilter({ preventEvent: true });
    else await this.plot.filter(places(this.visible, this.ids.length), { preventEvent: true });
    this.filtered = about.shown;
    this.chosen = "";
  }

  async select(data) {
    const wanted = data.chosen;
    if (wanted === this.chosen && !this.touched) return;
    this.touched = false;
    const found = [];
    if (wanted) {
      const bits = new Uint8Array(await this.load(wanted));
      if (this.gone) return;
      for (let i = 0; i < this.ids.length; i++) if (has(bits, this.ids[i]) && (!this.visible || has(this.visible, i))) found.push(i);
    }
    if (!same(found, this.plot.get("selectedPoints"))) {
      if (found.length) this.plot.select(found, { preventEvent: true });
      else this.plot.deselect({ preventEvent: true });
    }
    this.chosen = wanted;
    this.canvas.dataset.chosen = found.length;
  }

  // Whatever is set, all maps are drawn again: about a second for many points without a GPU.
  mode(name) {
    if (!this.plot || this.gone || name === this.drags) return;
    this.drags = name;
    this.plot.set({ mouseMode: name === "move" ? "panZoom" : "lasso", lassoType: name === "box" ? "rectangle" : "freeform" });
  }

  dense(on) {
    this.plot?.set(on ? { opacityBy: "density" } : { opacityBy: null, opacity: 0.85 });
    this.isDense = on;
  }

  zoom(factor) {
    this.plot?.zoomToLocation(this.plot.get("cameraTarget").slice(0, 2), this.plot.get("cameraDistance") * factor, { transition: false });
  }

  key(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (step && this.plot) {
      const far = this.plot.get("cameraDistance");
      const target = this.plot.get("cameraTarget");
      this.plot.zoomToLocation([target[0] + step[0] * far * 0.2, target[1] + step[1] * far * 0.2], far, { transition: false });
    } else if (event.key === "+" || event.key === "=") this.zoom(0.75);
    else if (event.key === "-") this.zoom(1 / 0.75);
    else if (event.key === "0") this.plot?.reset();
    else if (event.key === "Escape") this.told.cleared();
    else return;
    event.preventDefault();
  }

  failed(text) {
    this.note.textContent = text;
    this.note.className = "failed";
  }

  end() {
    window.removeEventListener("mouseup", this.released, true);
    this.resized?.disconnect();
    this.gone = true;
    this.plot?.destroy();
    this.box.remove();
  }
}

function how(event) {
  return event.altKey ? "take" : event.shiftKey ? "add" : "new";
}

function size(count) {
  return count < 3000 ? 6 : count < 30_000 ? 4 : count < 300_000 ? 2.5 : 1.5;
}

function places(bits, count) {
  const found = [];
  for (let i = 0; i < count; i++) if (has(bits, i)) found.push(i);
  return found;
}

function has(bits, at) {
  return (bits[at >> 3] >> (at & 7)) & 1;
}

// The same points, in any order? A lasso has selected them in its own map already.
function same(wanted, selected) {
  if (wanted.length !== selected.length) return false;
  const known = new Set(selected);
  return wanted.every((at) => known.has(at));
}

function ordered(codes, under) {
  const below = [];
  const above = [];
  codes.forEach((code, at) => (under.has(code) ? below : above).push(at));
  return below.concat(above);
}
