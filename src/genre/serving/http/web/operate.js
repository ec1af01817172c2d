// The page /operate: reads two routes and shows what they say. Only the buttons of an experiment change anything.

import { lines, sample, whisker } from "./charts.js";
import { SOURCES_SHORT, stage } from "./codes.js";
import { $, h, title } from "./dom.js";

let key = "";

// --- requests ---------------------------------------------------------------------------------------

class NoKey extends Error {}

/** A request with the key of the form, or else with what the browser itself has sent so far. */
async function request(path, method = "GET") {
  const options = key ? { method, headers: { authorization: `Bearer ${key}` }, credentials: "omit" } : { method };
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("The service does not answer.");
  }
  const found = await answer.json().catch(() => ({}));
  if (answer.status === 401 || answer.status === 403) throw new NoKey(found.detail ?? "The service refuses this key.");
  if (!answer.ok) throw new Error(found.detail ?? "The service could not answer.");
  return found;
}

let latest = 0;

async function load() {
  const turn = (latest += 1);
  $("report").setAttribute("aria-busy", "true");
  try {
    const days = $("days").value;
    const [experiments, operations] = await Promise.all(["experiments", "operations"].map((name) => request(`v1/${name}?days=${days}`)));
    if (turn !== latest) return; // another span of time was chosen meanwhile
    $("key-form").hidden = true;
    $("report").hidden = false;
    show(experiments, operations);
  } catch (error) {
    if (turn !== latest) return;
    const noKey = error instanceof NoKey;
    $("report").hidden = noKey;
    if (noKey) askForKey(error.message);
    $("status").textContent = noKey ? "Waiting for a key." : error.message;
  }
  $("report").removeAttribute("aria-busy");
  document.body.dataset.ready = "";
}

function askForKey(why) {
  $("key-form").hidden = false;
  $("key-why").textContent = key ? `The key was refused: ${why}` : `${upperFirst(why)}.`;
  $("key").value = key = "";
  $("key").focus();
}

// --- words ------------------------------------------------------------------------------------------

const upperFirst = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const digits = (most) => new Intl.NumberFormat("en", { maximumFractionDigits: most });
const count = (value) => digits(0).format(value);
const short = (value) => new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(value);
const amount = (value) => (Math.abs(value) >= 1000 ? short(value) : new Intl.NumberFormat("en", { maximumSignificantDigits: 3 }).format(value));
const percent = (value) => `${new Intl.NumberFormat("en", { maximumSignificantDigits: 3 }).format(value * 100)} %`;
const duration = (value) => (value >= 120 ? `${count(value / 60)} min` : value >= 1 ? `${amount(value)} s` : `${amount(value * 1000)} ms`);
const utc = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", ...options });
const dayOf = (at) => utc({ day: "numeric", month: "short" }).format(at * 1000);
const hourOf = (at) => utc({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }).format(at * 1000);
const moment = (at) => `${utc({ day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" }).format(at * 1000)} UTC`;

// --- parts of the page ------------------------------------------------------------------------------

const none = (text) => h("p", { class: "none" }, text);

/** A value with its interval under it. */
function between(rate, write, scale) {
  const interval = rate.low == null ? "–" : `${write(rate.low)} to ${write(rate.high)}`;
  return [write(rate.value), h("small", {}, interval), scale && whisker(rate, ...scale)];
}

/** A table; a column is `{name, of, number}`, where `of` makes the content of a row's cell. */
function table(caption, columns, rows) {
  const head = columns.map((column) => h("th", { scope: "col", role: "columnheader", class: column.number ? "number" : null }, column.name));
  const cells = (row) => columns.map((column, at) =>
    h("td", { role: "cell", "data-label": column.name, class: column.number ? "number" : at === 0 ? "name" : null }, ...[column.of(row)].flat()));
  return h("table", { role: "table", "aria-label": caption },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ...head)),
    h("tbody", { role: "rowgroup" }, ...rows.map((row) => h("tr", { role: "row" }, ...cells(row)))));
}

const facts = (...pairs) => h("dl", { class: "facts-of" },
  ...pairs.filter(Boolean).map(([name, ...value]) => h("div", {}, h("dt", {}, name), h("dd", {}, ...value.flat()))));

const n = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

const tag = (text, kind) => h("span", { class: `tag ${kind ?? ""}` }, text);

const chart = (caption, note, drawing) => h("figure", { class: "chart" }, h("figcaption", {}, caption, note && h("small", {}, ` ${note}`)), drawing);

// --- showing ----------------------------------------------------------------------------------------

function show(experiments, operations) {
  const total = experiments.lists.reduce((sum, row) => sum + row.lists, 0);
  const clicks = experiments.lists.reduce((sum, row) => sum + row.clicks, 0);
  $("status").textContent = `${n(total, "list")} and ${n(clicks, "click")} since ${moment(operations.since)}; read ${moment(operations.until)}. `
    + `Conversions are ${experiments.outcomes.join(", ") || "not defined"}.`;
  $("alerts").replaceChildren(...alerts(experiments, operations));
  $("lists").replaceChildren(listsTable(experiments));
  showTime(operations);
  $("experiments").replaceChildren(...experimentsOf(experiments.experiments));
  showDrift(operations);
  $("models").replaceChildren(...modelsOf(operations));
  $("refreshes").replaceChildren(...operations.refreshes.map(refreshOf));
}

function alerts({ experiments, clicks_on_unknown_lists: unknown }, { missing, lost_shows: lost, failed_swaps: swaps, drift, refreshes, unserved }) {
  const found = [];
  for (const name of missing) found.push(`${upperFirst(stage(name))} does not answer; other steps answer in its place.`);
  if (lost) found.push(`${n(lost, "list")} sent since this process began could not be recorded.`);
  if (swaps) found.push(`A replaced run could not be taken over (${n(swaps, "attempt")} since this process began); the log of the service says why.`);
  for (const { run, last } of refreshes) {
    if (last && (last.result === "failed" || last.result === "held back")) found.push(`The last refresh of ${run} ${last.result === "failed" ? "failed" : "was held back"}: ${last.message || last.gate}.`);
  }
  for (const one of drift) {
    if (one.popularity_shift > 0.25) found.push(`Events are much different from what ${one.run} has learnt (shift ${amount(one.popularity_shift)}).`);
    if (one.added > one.recommendable) found.push(`${one.run} cannot recommend ${n(one.added - one.recommendable, "added item")}: it has no encoder that can read their text, or they have none.`);
  }
  for (const name of unserved) found.push(`Experiment ${name} goes on, but this process does not serve all of its arms and leaves it out; serve them, or stop it.`);
  for (const one of experiments) {
    if (one.assignment?.flagged) found.push(`Experiment ${one.name}: users were not assigned as was meant; believe no number of it.`);
    else if (one.state === "running") {
      for (const arm of one.arms.filter((other) => other.verdict && other.verdict !== "go on")) found.push(`Experiment ${one.name}: ${arm.verdict} ${arm.run}; ${arm.reason}.`);
    }
  }
  if (unknown) found.push(`${n(unknown, "click")} on lists that the log does not have, in no row: lists that were lost, or not recorded.`);
  return found.length ? found.map((text) => title(text, "li")) : [h("li", { class: "good" }, "Nothing.")];
}

function listsTable({ lists }) {
  if (!lists.length) return none("No list was recorded in this time. Lists that a request marks with record=false, as the first page does, are not recorded.");
  const scale = (name) => [0, Math.max(...lists.map((row) => row[name].high ?? row[name].value)) || 1];
  const scales = Object.fromEntries(["click_rate", "conversion_rate", "value_rate", "fallbacks", "seconds"].map((name) => [name, scale(name)]));
  return table("What lists led to", [
    { name: "Run, recommender, source", of: (row) => [title(row.run), h("small", {}, title(`${row.recommender}, ${SOURCES_SHORT[row.source] ?? row.source}`))] },
    { name: "Lists", number: true, of: (row) => [count(row.lists), h("small", {}, n(row.users, "user"))] },
    { name: "Shows", number: true, of: (row) => count(row.shows) },
    { name: "Clicks a show", number: true, of: (row) => between(row.click_rate, percent, scales.click_rate) },
    { name: "Conversions a show", number: true, of: (row) => between(row.conversion_rate, percent, scales.conversion_rate) },
    { name: "Value a show", number: true, of: (row) => between(row.value_rate, amount, scales.value_rate) },
    { name: "Fallbacks", number: true, of: (row) => between(row.fallbacks, percent, scales.fallbacks) },
    { name: "Time of a list", number: true, of: (row) => [...between(row.seconds, duration), h("small", {}, `95 of 100: ${duration(row.slow_seconds)}`), whisker(row.seconds, ...scales.seconds)] },
    { name: "Coverage", number: true, of: (row) => [count(row.coverage), h("small", {}, "items")] },
  ], lists);
}

const METRICS = [
  ["Lists", "", (row) => ({ value: row.lists }), short],
  ["Clicks a show", "", (row) => row.click_rate, percent],
  ["Conversions a show", "", (row) => row.conversion_rate, percent],
  ["Value a show", "", (row) => row.value_rate, amount],
  ["Coverage", "items in the newest 1,000 lists of a span", (row) => ({ value: row.coverage }), short],
  ["Fallbacks", "share of lists", (row) => row.fallbacks, percent],
  ["Time of a list", "mean", (row) => row.seconds, duration],
];

function showTime({ over_time: rows, since, until, span }) {
  const runs = [...new Set(rows.map((row) => row.run))];
  const xs = Array.from({ length: Math.max(1, Math.ceil((until - since) / span)) }, (_, at) => since + at * span);
  const day = span < 86400 ? hourOf : dayOf;
  $("legend").replaceChildren(...(runs.length > 1 ? runs.map((run, at) => h("li", {}, sample(at), title(run))) : []));
  $("time-table").replaceChildren(rows.length ? timeTable(rows, day) : none("No list was recorded in this time."));
  const byRun = runs.map((run) => new Map(rows.filter((row) => row.run === run).map((row) => [row.since, row])));
  $("charts").replaceChildren(...(rows.length ? METRICS : []).map(([name, note, of, write]) => chart(name, note, lines({
    name, xs, show: write, day,
    series: runs.map((run, at) => ({ name: run, at, points: xs.map((x) => (byRun[at].has(x) ? of(byRun[at].get(x)) : name === "Lists" ? { value: 0 } : null)) })),
  }))));
}

function timeTable(rows, day) {
  return table("Over time", [
    { name: "From", of: (row) => day(row.since) },
    { name: "Run", of: (row) => title(row.run) },
    ...METRICS.map(([name, , of, write]) => ({ name, number: true, of: (row) => {
      const rate = of(row);
      return rate.low == null ? write(rate.value) : between(rate, write);
    } })),
  ], rows);
}

function experimentsOf(experiments) {
  if (!experiments.length) return [none("None. An experiment compares runs that are served together, on users.")];
  return experiments.flatMap((one) => [
    h("h3", {}, title(one.name), " ", tag(one.state, one.state === "running" ? "good" : "")),
    h("p", { class: "hint" }, `${upperFirst(one.outcome)} within ${amount(one.days)} days of a user's first list, by user.`
      + (one.crossed ? ` Left out: ${count(one.crossed)} users with lists of several arms.` : "")),
    armsTable(one),
    one.state === "ended" && !one.arms.some((arm) => arm.verdict === "promote") ? null : changes(one),
  ].filter(Boolean));
}

/** Buttons that stop or promote, behind a fold, so that no click does it by accident. */
function changes({ name, state, arms }) {
  const said = h("p", { class: "hint", role: "status" });
  const act = (text, path, done) => h("button", { type: "button", onclick: async (event) => {
    event.currentTarget.disabled = true;
    try {
      await request(`v1/experiments/${encodeURIComponent(name)}/${path}`, "POST");
      said.textContent = done;
      await load();
    } catch (error) {
      said.textContent = error.message;
    }
  } }, text);
  const [first, ...others] = arms.map((arm) => arm.run);
  return h("details", { class: "numbers" }, h("summary", {}, state === "ended" ? "Promote" : "Stop or promote"),
    h("p", { class: "hint" }, `To promote an arm puts a copy of its run in the place of ${first} and stops the experiment; \`genre refresh --roll-back\` undoes it.`),
    h("p", { class: "acts" },
      state === "ended" ? null : act("Stop now", "stop", "Stopped."),
      ...others.map((run) => act(`Promote ${run}`, `promote?${new URLSearchParams({ arm: run })}`, `${run} goes live within seconds.`))),
    said);
}

function armsTable({ name, arms }) {
  const ends = arms.flatMap((arm) => (arm.effect?.low == null ? [] : [Math.abs(arm.effect.low), Math.abs(arm.effect.high)]));
  const most = Math.max(0, ...ends) || 1;
  const effect = ({ effect: found }) => (!found ? "compared with"
    : between({ value: found.difference, low: found.low, high: found.high }, (value) => `${value > 0 ? "+" : ""}${percent(value)}`, [-most, most]));
  return table(`Arms of ${name}`, [
    { name: "Arm", of: (arm) => [title(arm.run), h("small", {}, `${percent(arm.share)} of the users`)] },
    { name: "Users", number: true, of: (arm) => [count(arm.users), h("small", {}, `${count(arm.finished)} finished`)] },
    { name: "With the outcome", number: true, of: (arm) => percent(arm.outcome) },
    { name: "Difference", number: true, of: effect },
    { name: "Fallbacks", number: true, of: (arm) => percent(arm.fallbacks) },
    { name: "Empty", number: true, of: (arm) => percent(arm.empty) },
    { name: "Time of a list", number: true, of: (arm) => duration(arm.seconds) },
    { name: "Verdict", of: (arm) => (arm.verdict ? [tag(arm.verdict, { promote: "good", stop: "bad" }[arm.verdict]), h("small", {}, title(arm.reason))] : "–") },
  ], arms);
}

const shiftInWords = (shift) => (shift == null ? "too few events to tell (500 are needed)"
  : `${amount(shift)}: ${shift < 0.1 ? "alike" : shift <= 0.25 ? "somewhat different" : "much different"}`);

function showDrift({ drift, events, since, until, span }) {
  $("drift").replaceChildren(...drift.flatMap((one) => [
    h("h3", {}, title(one.run)),
    facts(
      ["Items learnt", count(one.items)],
      ["Items added since", `${count(one.added)}${one.added ? `, ${count(one.recommendable)} of them recommendable` : ""}`],
      ["Items changed since", count(one.changed)],
      ["Items hidden by rules", count(one.hidden)],
      ["Events compared", count(one.events)],
      ["Events on items not learnt", ...between(one.new_items, percent)],
      ["Users not learnt", ...between(one.new_users, percent)],
      ["Shift of popularity", shiftInWords(one.popularity_shift)],
    ),
  ]));
  const xs = Array.from({ length: Math.max(1, Math.ceil((until - since) / span)) }, (_, at) => since + at * span);
  const kinds = [...new Set(events.map((one) => one.kind))].sort();
  $("event-charts").replaceChildren(...kinds.map((kind) => {
    const known = new Map(events.filter((one) => one.kind === kind).map((one) => [one.since, one.events]));
    const points = xs.map((x) => ({ value: known.get(x) ?? 0 }));
    const name = kind ? `Events: ${kind}` : "Events without a kind";
    return chart(title(name), "", lines({ name, xs, show: short, day: span < 86400 ? hourOf : dayOf, series: [{ name: kind || "events", at: 0, points }] }));
  }));
}

function modelsOf({ language_models: models, since, until, span }) {
  if (!models.length) return [none("No language model was called in this time.")];
  const sum = (one, name) => one.spans.reduce((total, spent) => total + spent[name], 0);
  const xs = Array.from({ length: Math.max(1, Math.ceil((until - since) / span)) }, (_, at) => since + at * span);
  const charts = [["Money", "money", amount], ["Tokens", "tokens", short]].filter(([, name]) => models.some((one) => sum(one, name)));
  return [
    table("What language models used", [
      { name: "Job", of: (one) => title(one.job) },
      { name: "Calls", number: true, of: (one) => count(sum(one, "calls")) },
      { name: "Failed", number: true, of: (one) => count(sum(one, "failed")) },
      { name: "Tokens", number: true, of: (one) => count(sum(one, "tokens")) },
      { name: "Money", number: true, of: (one) => amount(sum(one, "money")) },
    ], models),
    h("div", { class: "charts" }, ...charts.map(([caption, name, write]) => chart(caption, "", lines({
      name: caption, xs, show: write, day: span < 86400 ? hourOf : dayOf,
      series: models.map((one, at) => {
        const known = new Map(one.spans.map((spent) => [spent.since, spent[name]]));
        return { name: one.job, at, points: xs.map((x) => ({ value: known.get(x) ?? 0 })) };
      }),
    })))),
  ];
}

const RESULTS = { "went live": "good", "nothing new": "", "rolled back": "bad", "held back": "bad", failed: "bad" };

function refreshOf({ run, last, running_since: running, next }) {
  return h("div", { class: "refresh" }, h("h3", {}, title(run)), facts(
    ["Last", ...(last ? [tag(last.result, RESULTS[last.result]), h("small", {}, `${moment(last.began)}, took ${duration(last.seconds)}`)] : ["never, since it was made"])],
    ["Next", running ? `goes on since ${moment(running)}` : next ? moment(next) : "by hand: this server makes none (--refresh-every)"],
    last?.news && ["News", title(last.news)],
    last?.gate && ["Gate", title(last.gate)],
    last?.message && ["Why", title(last.message)],
  ));
}

// --- starting ---------------------------------------------------------------------------------------

function start() {
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  const chosen = new URLSearchParams(location.hash.slice(1)).get("days");
  if ([...$("days").options].some((option) => option.value === chosen)) $("days").value = chosen;
  $("theme").addEventListener("click", () => {
    const dark = getComputedStyle(document.documentElement).colorScheme === "dark";
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("theme", document.documentElement.dataset.theme);
  });
  $("days").addEventListener("change", () => { history.replaceState(null, "", `#days=${$("days").value}`); load(); });
  $("update").addEventListener("click", load);
  $("key-form").addEventListener("submit", (event) => { event.preventDefault(); key = $("key").value.trim(); load(); });
  load();
}

start();
