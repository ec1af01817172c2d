// A cover for every item: its first two categories give the colours, its id the picture. The same item has the same
// cover everywhere.

const SVG = "http://www.w3.org/2000/svg";

function hash(text) {
  let h = 2166136261;
  for (const letter of text) h = Math.imul(h ^ letter.codePointAt(0), 16777619);
  h ^= h >>> 15; h = Math.imul(h, 0x2c1b3c6d); h ^= h >>> 12;
  return h >>> 0;
}

function randomFrom(seed) { // numbers 0..1, the same for the same seed
  let state = seed || 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 4294967296;
  };
}

function shape(kind, attributes) {
  const made = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

const round = (x) => Math.round(x * 10) / 10;

const MOTIFS = [
  function suns(add, rnd, ink) {
    const x = 20 + rnd() * 60, y = 30 + rnd() * 40;
    for (let r = 62; r > 6; r -= 11) add("circle", { cx: round(x), cy: round(y), r, fill: ink(1 - r / 80), opacity: 0.5 });
  },
  function hills(add, rnd, ink) {
    add("circle", { cx: round(25 + rnd() * 50), cy: round(34 + rnd() * 16), r: round(9 + rnd() * 9), fill: ink(1.1) });
    for (let layer = 0; layer < 4; layer += 1) {
      const top = 62 + layer * 20, bend = 24 * (rnd() - 0.5), lift = 16 * rnd();
      add("path", { d: `M0 ${round(top + bend)} Q 28 ${round(top - 26 - lift)} 52 ${round(top)} T 100 ${round(top - bend)} V150 H0Z`, fill: ink(0.75 - layer * 0.22) });
    }
  },
  function arcs(add, rnd, ink) {
    const left = rnd() > 0.5;
    for (let n = 0; n < 6; n += 1) {
      add("circle", { cx: left ? 0 : 100, cy: round(20 + rnd() * 14), r: 22 + n * 19, fill: "none", stroke: ink(0.2 + n * 0.17), "stroke-width": round(5 + rnd() * 8) });
    }
  },
  function tiles(add, rnd, ink) {
    for (let y = 0; y < 6; y += 1) for (let x = 0; x < 4; x += 1) {
      const turn = Math.floor(rnd() * 4), size = 25;
      if (rnd() < 0.2) continue;
      add("path", { d: `M0 0H${size}A${size} ${size} 0 0 1 0 ${size}Z`, transform: `translate(${x * size} ${y * size}) rotate(${turn * 90} 12.5 12.5)`, fill: ink(rnd()), opacity: 0.85 });
    }
  },
  function rays(add, rnd, ink) {
    const x = round(10 + rnd() * 80), y = round(90 + rnd() * 40), parts = 9 + Math.floor(rnd() * 6);
    for (let n = 0; n < parts; n += 1) {
      const a = (n / parts) * Math.PI * 2 + rnd() * 0.1, b = a + Math.PI / parts;
      add("path", { d: `M${x} ${y}L${round(x + 220 * Math.cos(a))} ${round(y + 220 * Math.sin(a))}L${round(x + 220 * Math.cos(b))} ${round(y + 220 * Math.sin(b))}Z`, fill: ink(0.3 + rnd() * 0.5) });
    }
    add("circle", { cx: x, cy: y, r: round(12 + rnd() * 10), fill: ink(1.1) });
  },
  function bars(add, rnd, ink) {
    let x = -4;
    while (x < 104) {
      const width = 4 + rnd() * 13, top = rnd() * 90;
      add("rect", { x: round(x), y: round(top), width: round(width), height: 160, fill: ink(rnd()), rx: round(width / 2) });
      x += width + 1.5;
    }
  },
  function waves(add, rnd, ink) {
    for (let n = 0; n < 9; n += 1) {
      const y = 8 + n * 17, swing = 7 + rnd() * 13;
      add("path", { d: `M-5 ${round(y)} Q 20 ${round(y - swing)} 50 ${round(y)} T 105 ${round(y)}`, fill: "none", stroke: ink(n / 9), "stroke-width": round(3 + rnd() * 6), "stroke-linecap": "round" });
    }
  },
  function dots(add, rnd, ink) {
    const towards = rnd() > 0.5;
    for (let y = 0; y < 9; y += 1) for (let x = 0; x < 6; x += 1) {
      const near = towards ? y / 9 : 1 - y / 9;
      add("circle", { cx: 8 + x * 17, cy: 8 + y * 17, r: round(1.5 + near * 6.5), fill: ink(0.3 + rnd() * 0.6) });
    }
  },
];

const HUES = [222, 344, 28, 168, 268, 200, 8, 42, 132, 304]; // far apart, the first ones for the commonest categories
const places = new Map();

/** Give categories their colours, in this order; any other gets one by its name. */
export function nameCategories(names) {
  places.clear();
  for (const name of names) if (!places.has(name)) places.set(name, places.size);
}

const hueOf = (category) => HUES[(places.get(category) ?? hash(category)) % HUES.length];

/** The hue, in degrees, that a cover is painted on. */
export const ground = (itemId, categories) => hueOf(categories[0] ?? String(hash(`${itemId}`) % 10)) + (hash(`${itemId}`) % 21) - 10;

/** The picture of an item where it has one, in the place of a cover and of the same size; the cover where it cannot be had. */
export function art(one, categories) {
  const painted = cover(one.item_id, categories);
  if (!one.picture) return painted;
  const picture = document.createElement("img");
  Object.assign(picture, { className: "art", alt: one.title, width: 100, height: 150, loading: "lazy", decoding: "async", src: one.picture });
  picture.addEventListener("error", () => picture.replaceWith(painted));
  return picture;
}

/** A picture of 100 by 150 for an item of these categories; decoration, so hidden from readers. */
function cover(itemId, categories) {
  const seed = hash(`${itemId}`), rnd = randomFrom(seed), under = ground(itemId, categories);
  const paint = categories.length > 1 ? hueOf(categories[1]) : under + (seed % 3 ? 28 : -34);
  const ink = (light) => `hsl(${paint} ${Math.round(64 - light * 4)}% ${Math.round(27 + light * 38)}%)`;
  const picture = shape("svg", { viewBox: "0 0 100 150", preserveAspectRatio: "xMidYMid slice", "aria-hidden": "true", class: "art" });
  picture.append(shape("rect", { width: 100, height: 150, fill: `hsl(${under} 52% 23%)` }));
  MOTIFS[(seed >>> 4) % MOTIFS.length]((kind, attributes) => picture.append(shape(kind, attributes)), rnd, ink);
  return picture;
}
