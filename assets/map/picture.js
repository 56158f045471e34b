// The maps as one PNG for paper: white ground, their titles and the legend, two pixels for one.
const SCALE = 2;
const LINE = 22 * SCALE;
const INK = "#222222";

export async function picture(panels, data, renderer, ground) {
  const images = [];
  for (const panel of panels) images.push(await large(panel, renderer, ground));
  const entries = data.legend.filter((entry) => !entry.hidden).map((entry) => [entry.name, data.colours[data.legend.indexOf(entry)]]);
  const named = entries.length ? entries : [[`${data.meaning}: ${data.scale.join(" to ")}`, ""]];
  const canvas = document.createElement("canvas");
  canvas.width = images.reduce((sum, image) => sum + image.width + LINE, 0);
  const rows = placed(canvas, named);
  const top = (rows.length + 2) * LINE;
  canvas.height = top + Math.max(...images.map((image) => image.height));
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#ffffff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.textBaseline = "middle";
  rows.forEach((row, line) => row.forEach(([name, colour, x]) => {
    pen.font = font(400);
    pen.fillStyle = colour || INK;
    if (colour) pen.fillRect(x, (line + 0.5) * LINE - 6 * SCALE, 12 * SCALE, 12 * SCALE);
    pen.fillStyle = INK;
    pen.fillText(name, x + 18 * SCALE, (line + 0.5) * LINE);
  }));
  let left = 0;
  images.forEach((image, number) => {
    pen.font = font(600);
    pen.fillStyle = INK;
    pen.fillText(panels[number].about.title, left + LINE / 2, top - LINE, image.width);
    pen.drawImage(image, left + LINE / 2, top);
    left += image.width + LINE;
  });
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

// One map's pixels. "drawing" is told at once when a frame is done, and nothing of what was set before is missing in it.
async function large({ plot, canvas }, renderer, ground) {
  const [width, height, pointSize] = ["width", "height", "pointSize"].map((name) => plot.get(name));
  renderer.resize(width * SCALE, height * SCALE);
  renderer.refresh();
  plot.set({ width: width * SCALE, height: height * SCALE, pointSize: pointSize * SCALE, backgroundColor: "#ffffff" });
  const image = await new Promise((done) => {
    plot.subscribe("drawing", () => done(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)), 1);
    plot.redraw();
  });
  plot.set({ width, height, pointSize, backgroundColor: ground });
  return createImageBitmap(image);
}

function font(weight) {
  return `${weight} ${13 * SCALE}px Arial, Helvetica, sans-serif`;
}

// Lines of names that fit the width, each name with its place.
function placed(canvas, named) {
  const pen = canvas.getContext("2d");
  pen.font = font(400);
  const rows = [[]];
  let x = LINE / 2;
  for (const [name, colour] of named) {
    const width = pen.measureText(name).width + 40 * SCALE;
    if (x + width > canvas.width && rows.at(-1).length) {
      rows.push([]);
      x = LINE / 2;
    }
    rows.at(-1).push([name, colour, x]);
    x += width;
  }
  return rows;
}
