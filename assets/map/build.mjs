// `npm ci && npm run build`: bundles maps.js with what it imports into bundle.js, with everybody's licence and a record.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const SOURCES = ["build.mjs", "maps.js", "package-lock.json", "package.json", "panel.js", "picture.js", "style.js", "tip.js"];
// Where regl-scatterplot takes seconds for hundreds of thousands of points: its own lines, each there once, and those instead.
const CHANGES = [
  // Selected points that are filtered out are taken out of an array one by one: 4.7 s for half of 200,000.
  ["selectedPointsConnectionSet.clear();\n\n    for (", "selectedPointsConnectionSet.clear();\n" +
    "    selectedPoints = selectedPoints.filter((at) => !isPointsFilteredOut(at));\n    for ("],
  // Rings of no width are drawn too.
  ["drawSelectedPointOutlines();\n    drawSelectedPointInnerBorder();",
    "if (pointOutlineWidth > 0) {\n drawSelectedPointOutlines();\n drawSelectedPointInnerBorder();\n }"],
];
const faster = {
  name: "faster",
  setup: (building) => building.onLoad({ filter: /regl-scatterplot\.esm\.js$/ }, ({ path }) => ({
    contents: CHANGES.reduce((text, [theirs, ours]) => {
      if (text.split(theirs).length !== 2) throw new Error(`regl-scatterplot has changed: ${theirs}`);
      return text.replace(theirs, ours);
    }, readFileSync(path, "utf8")),
  })),
};
const hash = (path) => createHash("sha256").update(readFileSync(path)).digest("hex");

await build({
  entryPoints: ["maps.js"],
  outfile: "bundle.js",
  bundle: true,
  format: "esm",
  minify: true,
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  plugins: [faster],
});
// Every package installed for use: regl-scatterplot has some inside, kdbush even without naming it, so it is named here.
const { packages: locked } = JSON.parse(readFileSync("package-lock.json", "utf8"));
const used = Object.entries(locked).filter(([path, entry]) => path && !entry.dev).map(([path]) => path.replace("node_modules/", ""));
const licences = used.sort().map((name) => {
  const folder = `node_modules/${name}`;
  const { version, license } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
  const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
  if (!file) throw new Error(`${name} comes without its licence`);
  return `${name} ${version} (${license})\n\n${readFileSync(`${folder}/${file}`, "utf8").trim()}\n`;
});
writeFileSync("LICENCES.txt", licences.join(`\n${"-".repeat(80)}\n\n`));
const names = [...SOURCES, "bundle.js", "LICENCES.txt"];
writeFileSync("built.json", `${JSON.stringify(Object.fromEntries(names.map((name) => [name, hash(name)])), null, 1)}\n`);
