// Drawings: lines over time with their intervals, and one interval on a rail. Knows no route and no report.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 340, HEIGHT = 150, LEFT = 46, RIGHT = 10, TOP = 10, BOTTOM = 20;

/** An element of a drawing. */
export function s(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child) => child != null));
  return made;
}

/** The next number with one or two digits: the end of an axis. */
function roundUp(value) {
  if (!(value > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((n) => n * unit).find((n) => n >= value * 0.999999);
}

/**
 * Lines over time. `series`: `{name, at, points}`, where `at` is the number of its colour and a point is
 * `{x, value, low, high}`; points of `null` leave a gap. `show` writes a value, `day` a moment.
 */
export function lines({ name, series, xs, show, day }) {
  const values = series.flatMap((one) => one.points.filter(Boolean).map((point) => point.high ?? point.value));
  const most = roundUp(Math.max(0, ...values));
  const x = (at) => LEFT + (xs.length > 1 ? at / (xs.length - 1) : 0.5) * (WIDTH - LEFT - RIGHT);
  const y = (value) => TOP + (1 - Math.min(value, most) / most) * (HEIGHT - TOP - BOTTOM);
  const label = `${name}: ${series.map((one) => summary(one, show)).join("; ")}`;
  const drawing = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label });
  for (const part of [0, 0.5, 1]) {
    const height = y(part * most);
    drawing.append(s("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: height, y2: height }),
      s("text", { x: LEFT - 6, y: height + 3.5, "text-anchor": "end" }, show(part * most)));
  }
  drawing.append(s("text", { x: LEFT, y: HEIGHT - 4 }, day(xs[0])),
    s("text", { x: WIDTH - RIGHT, y: HEIGHT - 4, "text-anchor": "end" }, day(xs[xs.length - 1])));
  for (const one of series) drawing.append(lineOf(one, { x, y, xs, show, day }));
  return drawing;
}

function lineOf({ name, at, points }, { x, y, xs, show, day }) {
  const group = s("g", { class: `s${at % 5}` });
  const marks = s("g");
  for (const part of runsOf(points)) {
    const band = part.filter(({ point }) => point.low != null);
    if (band.length > 1) {
      const upper = band.map(({ at: place, point }) => `${x(place)},${y(point.high)}`);
      const lower = band.map(({ at: place, point }) => `${x(place)},${y(point.low)}`).reverse();
      group.append(s("polygon", { class: "band", points: [...upper, ...lower].join(" ") }));
    }
    group.append(s("polyline", { class: "line", points: part.map(({ at: place, point }) => `${x(place)},${y(point.value)}`).join(" ") }));
    for (const { at: place, point } of part) {
      if (part.length === 1) marks.append(s("circle", { class: "dot", cx: x(place), cy: y(point.value), r: 3 }));
      const between = point.low == null ? "" : ` (${show(point.low)} to ${show(point.high)})`;
      marks.append(s("circle", { class: "hit", cx: x(place), cy: y(point.value), r: 7 },
        s("title", {}, `${name}, ${day(xs[place])}: ${show(point.value)}${between}`)));
    }
  }
  group.append(marks);
  return group;
}

/** Points without a gap between them, together. */
function runsOf(points) {
  const runs = [];
  points.forEach((point, at) => {
    if (!point) return;
    if (at && points[at - 1]) runs[runs.length - 1].push({ at, point });
    else runs.push([{ at, point }]);
  });
  return runs;
}

function summary({ name, points }, show) {
  const known = points.filter(Boolean);
  if (!known.length) return `${name}, nothing`;
  const values = known.map((point) => point.value);
  return `${name}, last ${show(values[values.length - 1])}, lowest ${show(Math.min(...values))}, highest ${show(Math.max(...values))}`;
}

/** A sample of the line of a run, for a legend. */
export const sample = (at) => s("svg", { viewBox: "0 0 30 10", "aria-hidden": "true", class: `s${at % 5}` },
  s("g", { class: `s${at % 5}` }, s("line", { class: "line", x1: 1, x2: 29, y1: 5, y2: 5 })));

/** An interval on a rail from `least` to `most`; beside the numbers, which say the same. */
export function whisker(rate, least, most) {
  const place = (value) => 3 + Math.max(0, Math.min(1, (value - least) / (most - least || 1))) * 78;
  const drawing = s("svg", { viewBox: "0 0 84 8", class: "whisker", "aria-hidden": "true" }, s("line", { class: "rail", x1: 2, x2: 82, y1: 4, y2: 4 }));
  if (least < 0) drawing.append(s("line", { class: "zero", x1: place(0), x2: place(0), y1: 0, y2: 8 }));
  if (rate.low != null) drawing.append(s("line", { class: "between", x1: place(rate.low), x2: place(rate.high), y1: 4, y2: 4 }));
  drawing.append(s("circle", { class: "value", cx: place(rate.value), cy: 4, r: 3 }));
  return drawing;
}
