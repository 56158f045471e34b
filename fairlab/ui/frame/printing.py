"""The camera of a chart: what it saves is made for paper, also when the page is dark.

Plotly would save what is on the screen: pale words of a dark page on a dark ground. Here the figure is drawn again, as it is
zoomed and selected now, in the colours of plots/printing.py. Around words near an edge is as much white as a viewer without
their font may need: its replacement is up to a fifth wider (DejaVu Sans for Arial).
"""

from __future__ import annotations

import streamlit as st

from fairlab.plots.printing import look

_JS = """
export default function (component) {
  const look = component.data;
  if (document.fairlabPrints) return;
  document.fairlabPrints = true;

  const dressed = (part, name) => {
    if (Array.isArray(part)) return part.map((item) => dressed(item, name));
    if (!part || Object.getPrototypeOf(part) !== Object.prototype) return part;
    const out = {};
    for (const [key, inner] of Object.entries(part)) out[key] = dressed(inner, key);
    if (/font$/.test(name)) Object.assign(out, { color: look.ink, family: look.font });
    for (const key of ["gridcolor", "zerolinecolor", "linecolor", "tickcolor", "outlinecolor"])
      if (key in out) out[key] = look.grid;
    for (const key of ["paper_bgcolor", "plot_bgcolor"]) if (key in out) out[key] = look.ground;
    return out;
  };

  const bars = (part) => {
    if (!part || Object.getPrototypeOf(part) !== Object.prototype) return;
    for (const [key, inner] of Object.entries(part))
      key === "colorbar" ? (part[key] = dressed(inner, key)) : bars(inner);
  };

  const plotly = () => (window.fairlabPlotly ??= new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = "/api/plotly.js";
    script.onload = () => done(window.Plotly);
    script.onerror = () => { delete window.fairlabPlotly; failed(new Error("no answer")); };
    document.head.append(script);
  }));

  const widened = (text) => {
    const holder = document.createElement("div");
    holder.style.cssText = "position:fixed;left:0;top:0;visibility:hidden;pointer-events:none";
    holder.append(document.importNode(new DOMParser().parseFromString(text, "image/svg+xml").documentElement, true));
    document.body.append(holder);
    const svg = holder.firstChild, at = svg.getBoundingClientRect();
    let [left, top, right, bottom] = [0, 0, at.width, at.height];
    for (const words of svg.querySelectorAll("text")) {
      const box = words.getBoundingClientRect();
      if (!box.width) continue;
      const level = box.width >= box.height, more = 0.2 * Math.max(box.width, box.height) + 2;
      left = Math.min(left, box.left - at.left - (level ? more : 2));
      right = Math.max(right, box.right - at.left + (level ? more : 2));
      top = Math.min(top, box.top - at.top - (level ? 2 : more));
      bottom = Math.max(bottom, box.bottom - at.top + (level ? 2 : more));
    }
    [left, top, right, bottom] = [Math.floor(left), Math.floor(top), Math.ceil(right), Math.ceil(bottom)];
    const size = { width: right - left, height: bottom - top };
    const paper = document.createElementNS(svg.namespaceURI, "rect");
    for (const [key, value] of Object.entries({ x: left, y: top, ...size, fill: look.ground })) paper.setAttribute(key, value);
    svg.prepend(paper);
    for (const [key, value] of Object.entries({ ...size, viewBox: `${left} ${top} ${size.width} ${size.height}` }))
      svg.setAttribute(key, value);
    holder.remove();
    return { text: new XMLSerializer().serializeToString(svg), ...size };
  };

  const pixels = async (svg, scale) => {
    const image = new Image(), canvas = document.createElement("canvas");
    image.src = "data:image/svg+xml," + encodeURIComponent(svg.text);
    await image.decode();
    [canvas.width, canvas.height] = [svg.width * scale, svg.height * scale];
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  };

  const save = async (plot) => {
    const { format = "svg", filename = "chart", scale = 2 } = plot._context.toImageButtonOptions ?? {};
    const { width, height } = plot._fullLayout;
    const data = structuredClone(plot.data), layout = dressed(structuredClone(plot.layout), "");
    data.forEach(bars);
    layout.font = { ...layout.font, color: look.ink, family: look.font };
    Object.assign(layout, { paper_bgcolor: look.ground, plot_bgcolor: look.ground });
    const drawn = await (await plotly()).toImage(
      { data, layout, config: { plotGlPixelRatio: 4 } }, { format: "svg", width, height, imageDataOnly: true });
    const svg = widened(drawn);
    const blob = format === "png" ? await pixels(svg, scale) : new Blob([svg.text], { type: "image/svg+xml" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${filename}.${format}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.(".modebar-btn");
    if (!button?.getAttribute("data-title")?.startsWith("Download plot")) return;
    event.stopImmediatePropagation();
    event.preventDefault();
    save(button.closest(".js-plotly-plot")).catch((error) =>
      alert(`The chart could not be saved (${error.message}). Reload the page and try again.`));
  }, true);
}
"""
_camera = st.components.v2.component("fairlab_camera", js=_JS)


def camera() -> None:
    """Let every chart's camera save pictures for paper; once on every page."""
    _camera(key="camera", data=look())
