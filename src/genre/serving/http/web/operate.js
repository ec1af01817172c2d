// The page /operate: reads two routes and shows what they say. Only the buttons of an experiment change anything.

import { lines, sample, whisker } from "./charts.js";
import { SOURCES_SHORT, stage } from "./codes.js";
import { said } from "./details.js";
import { $, h, title } from "./dom.js";
import { language, listenToTheme, t, translatePage } from "./language.js";
import { send } from "./service.js";

let key = "";

// --- requests ---------------------------------------------------------------------------------------

/** A request with the key of the form, or else with what the browser itself has sent so far. */
const request = (path, method = "GET") => send(path, key ? { method, headers: { authorization: `Bearer ${key}` }, credentials: "omit" } : { method });

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
    const noKey = [401, 403].includes(error.status);
    $("report").hidden = noKey;
    if (noKey) askForKey(error.message);
    $("status").textContent = noKey ? t("Waiting for a key.") : error.message;
  }
  $("report").removeAttribute("aria-busy");
  document.body.dataset.ready = "";
}

function askForKey(why) {
  $("key-form").hidden = false;
  $("key-why").textContent = key ? t("The key was refused: {}", why) : `${upperFirst(why)}.`;
  $("key").value = key = "";
  $("key").focus();
}

// --- words ------------------------------------------------------------------------------------------

const upperFirst = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const count = (value) => new Intl.NumberFormat("en", { maximumFractionDigits: 0 }).format(value);
const short = (value) => new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(value);
const amount = (value) => (Math.abs(value) >= 1000 ? short(value) : new Intl.NumberFormat("en", { maximumSignificantDigits: 3 }).format(value));
const percent = (value) => `${new Intl.NumberFormat("en", { maximumSignificantDigits: 3 }).format(value * 100)} %`;
const duration = (value) => (value >= 120 ? t("{} min", count(value / 60)) : value >= 1 ? t("{} s", amount(value)) : t("{} ms", amount(value * 1000)));
const utc = (options) => new Intl.DateTimeFormat(language === "zh" ? "zh-CN" : "en-GB", { timeZone: "UTC", ...options });
const dayOf = (at) => utc({ day: "numeric", month: "short" }).format(at * 1000);
const hourOf = (at) => utc({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }).format(at * 1000);
const moment = (at) => `${utc({ day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" }).format(at * 1000)} UTC`;

// codes of the service, each by a call of t() so that its Chinese is looked for
const STATES = { planned: t("planned"), running: t("running"), ended: t("ended") };
const VERDICTS = { promote: t("promote"), stop: t("stop"), "go on": t("go on") };
const RESULTS = {
  "went live": [t("went live"), "good"], "nothing new": [t("nothing new"), ""], "rolled back": [t("rolled back"), "bad"],
  "held back": [t("held back"), "bad"], failed: [t("failed"), "bad"],
};

// --- parts of the page ------------------------------------------------------------------------------

const none = (text) => h("p", { class: "none" }, text);

/** Where each span of time begins. */
const begins = (since, until, span) => Array.from({ length: Math.max(1, Math.ceil((until - since) / span)) }, (_, at) => since + at * span);

/** A value with its interval under it. */
function between(rate, write, scale) {
  const interval = rate.low == null ? "–" : t("{} to {}", write(rate.low), write(rate.high));
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

const tag = (text, kind) => h("span", { class: `tag ${kind ?? ""}` }, text);

const chart = (caption, note, drawing) => h("figure", { class: "chart" }, h("figcaption", {}, caption, note && h("small", {}, ` ${note}`)), drawing);

// --- showing ----------------------------------------------------------------------------------------

function show(experiments, operations) {
  const total = experiments.lists.reduce((sum, row) => sum + row.lists, 0);
  const clicks = experiments.lists.reduce((sum, row) => sum + row.clicks, 0);
  $("status").textContent = t("{} lists and {} clicks since {}; read {}.", count(total), count(clicks), moment(operations.since), moment(operations.until))
    + t(" Conversions are: {}.", experiments.outcomes.join(", ") || "–");
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
  for (const name of missing) found.push(t("{} does not answer; other steps answer in its place.", upperFirst(stage(name))));
  if (lost) found.push(t("Lists sent since this process began that could not be recorded: {}.", count(lost)));
  if (swaps) found.push(t("A replaced run could not be taken over ({} times since this process began); the log of the service says why.", count(swaps)));
  for (const { run, last } of refreshes) {
    if (last && (last.result === "failed" || last.result === "held back")) found.push(t(last.result === "failed" ? "The last refresh of {} failed: {}." : "The last refresh of {} was held back: {}.", run, said(last.message || last.gate)));
  }
  for (const one of drift) {
    if (one.popularity_shift > 0.25) found.push(t("Events are much different from what {} has learnt (shift {}).", one.run, amount(one.popularity_shift)));
    if (one.added > one.recommendable) found.push(t("Added items that {} cannot recommend: {}. It has no encoder that can read their text, or they have none.", one.run, count(one.added - one.recommendable)));
  }
  for (const name of unserved) found.push(t("Experiment {} goes on, but this process does not serve all of its arms and leaves it out; serve them, or stop it.", name));
  for (const one of experiments) {
    if (one.assignment?.flagged) found.push(t("Experiment {}: users were not assigned as was meant; believe no number of it.", one.name));
    else if (one.state === "running") {
      for (const arm of one.arms.filter((other) => other.verdict && other.verdict !== "go on")) found.push(t("Experiment {}: {} {}; {}.", one.name, VERDICTS[arm.verdict], arm.run, said(arm.reason)));
    }
  }
  if (unknown) found.push(t("Clicks on lists that the log does not have: {}. They are in no row; the lists were lost, or not recorded.", count(unknown)));
  return found.length ? found.map((text) => title(text, "li")) : [h("li", { class: "good" }, t("Nothing."))];
}

function listsTable({ lists }) {
  if (!lists.length) return none(t("No list was recorded in this time. Those of the first page never are (record=false)."));
  const scale = (name) => [0, Math.max(...lists.map((row) => row[name].high ?? row[name].value)) || 1];
  const scales = Object.fromEntries(["click_rate", "conversion_rate", "value_rate", "fallbacks", "seconds"].map((name) => [name, scale(name)]));
  return table(t("What lists led to"), [
    { name: t("Run, recommender, source"), of: (row) => [title(row.run), h("small", {}, title(`${row.recommender}, ${SOURCES_SHORT[row.source] ?? row.source}`))] },
    { name: t("Lists"), number: true, of: (row) => [count(row.lists), h("small", {}, t(row.users === 1 ? "{} user" : "{} users", count(row.users)))] },
    { name: t("Shows"), number: true, of: (row) => count(row.shows) },
    { name: t("Clicks a show"), number: true, of: (row) => between(row.click_rate, percent, scales.click_rate) },
    { name: t("Conversions a show"), number: true, of: (row) => between(row.conversion_rate, percent, scales.conversion_rate) },
    { name: t("Value a show"), number: true, of: (row) => between(row.value_rate, amount, scales.value_rate) },
    { name: t("Fallbacks"), number: true, of: (row) => between(row.fallbacks, percent, scales.fallbacks) },
    { name: t("Time of a list"), number: true, of: (row) => [...between(row.seconds, duration), h("small", {}, t("95 of 100: {}", duration(row.slow_seconds.value)), row.slow_seconds.low == null ? "" : ` (${t("{} to {}", duration(row.slow_seconds.low), duration(row.slow_seconds.high))})`), whisker(row.seconds, ...scales.seconds)] },
    { name: t("Coverage"), number: true, of: (row) => [count(row.coverage), h("small", {}, t("items"))] },
  ], lists);
}

const METRICS = [
  [t("Lists"), "", (row) => ({ value: row.lists }), short],
  [t("Clicks a show"), "", (row) => row.click_rate, percent],
  [t("Conversions a show"), "", (row) => row.conversion_rate, percent],
  [t("Value a show"), "", (row) => row.value_rate, amount],
  [t("Coverage"), t("of the newest 1,000 lists"), (row) => ({ value: row.coverage }), short],
  [t("Fallbacks"), t("share of lists"), (row) => row.fallbacks, percent],
  [t("Time of a list"), t("mean"), (row) => row.seconds, duration],
];

function showTime({ over_time: rows, since, until, span }) {
  const runs = [...new Set(rows.map((row) => row.run))];
  const xs = begins(since, until, span);
  const day = span < 86400 ? hourOf : dayOf;
  $("legend").replaceChildren(...(runs.length > 1 ? runs.map((run, at) => h("li", {}, sample(at), title(run))) : []));
  $("time-table").replaceChildren(rows.length ? timeTable(rows, day) : none(t("No list was recorded in this time.")));
  const byRun = runs.map((run) => new Map(rows.filter((row) => row.run === run).map((row) => [row.since, row])));
  $("charts").replaceChildren(...(rows.length ? METRICS : []).map(([name, note, of, write]) => chart(name, note, lines({
    name, xs, show: write, day,
    series: runs.map((run, at) => ({ name: run, at, points: xs.map((x) => (byRun[at].has(x) ? of(byRun[at].get(x)) : name === METRICS[0][0] ? { value: 0 } : null)) })),
  }))));
}

function timeTable(rows, day) {
  return table(t("Over time"), [
    { name: t("From"), of: (row) => day(row.since) },
    { name: t("Run"), of: (row) => title(row.run) },
    ...METRICS.map(([name, , of, write]) => ({ name, number: true, of: (row) => {
      const rate = of(row);
      return rate.low == null ? write(rate.value) : between(rate, write);
    } })),
  ], rows);
}

function experimentsOf(experiments) {
  if (!experiments.length) return [none(t("None. An experiment compares runs that are served together, on users."))];
  return experiments.flatMap((one) => [
    h("h3", {}, title(one.name), " ", tag(STATES[one.state], one.state === "running" ? "good" : "")),
    h("p", { class: "hint" }, t("{} within {} days of a user's first list, by user.", upperFirst(one.outcome), amount(one.days))
      + (one.crossed ? t(" Users with lists of several arms, left out: {}.", count(one.crossed)) : "")),
    armsTable(one),
    one.state === "ended" && !one.arms.some((arm) => arm.verdict === "promote") ? null : changes(one),
  ].filter(Boolean));
}

/** Buttons that stop or promote, behind a fold, so that no click does it by accident. */
function changes({ name, state, arms }) {
  const note = h("p", { class: "hint", role: "status" });
  const act = (text, path, done) => h("button", { type: "button", onclick: async (event) => {
    event.currentTarget.disabled = true;
    try {
      await request(`v1/experiments/${encodeURIComponent(name)}/${path}`, "POST");
      note.textContent = done;
      await load();
    } catch (error) {
      note.textContent = error.message;
    }
  } }, text);
  const [first, ...others] = arms.map((arm) => arm.run);
  return h("details", { class: "numbers" }, h("summary", {}, state === "ended" ? t("Promote") : t("Stop or promote")),
    h("p", { class: "hint" }, t("To promote an arm puts a copy of its run in the place of {} and stops the experiment; `genre refresh --roll-back` undoes it.", first)),
    h("p", { class: "acts" },
      state === "ended" ? null : act(t("Stop now"), "stop", t("Stopped.")),
      ...others.map((run) => act(t("Promote {}", run), `promote?${new URLSearchParams({ arm: run })}`, t("{} goes live within seconds.", run)))),
    note);
}

function armsTable({ name, arms }) {
  const ends = arms.flatMap((arm) => (arm.effect?.low == null ? [] : [Math.abs(arm.effect.low), Math.abs(arm.effect.high)]));
  const most = Math.max(0, ...ends) || 1;
  const effect = ({ effect: found }) => (!found ? t("compared with")
    : between({ value: found.difference, low: found.low, high: found.high }, (value) => `${value > 0 ? "+" : ""}${percent(value)}`, [-most, most]));
  return table(t("Arms of {}", name), [
    { name: t("Arm"), of: (arm) => [title(arm.run), h("small", {}, t("{} of the users", percent(arm.share)))] },
    { name: t("Users"), number: true, of: (arm) => [count(arm.users), h("small", {}, t("{} finished", count(arm.finished)))] },
    { name: t("With the outcome"), number: true, of: (arm) => percent(arm.outcome) },
    { name: t("Difference"), number: true, of: effect },
    { name: t("Fallbacks"), number: true, of: (arm) => percent(arm.fallbacks) },
    { name: t("Empty"), number: true, of: (arm) => percent(arm.empty) },
    { name: t("Time of a list"), number: true, of: (arm) => duration(arm.seconds) },
    { name: t("Verdict"), of: (arm) => (arm.verdict ? [tag(VERDICTS[arm.verdict], { promote: "good", stop: "bad" }[arm.verdict]), h("small", {}, title(said(arm.reason)))] : "–") },
  ], arms);
}

const shiftInWords = (shift) => (shift == null ? t("too few events to tell (500 are needed)")
  : `${amount(shift)}: ${shift < 0.1 ? t("alike") : shift <= 0.25 ? t("somewhat different") : t("much different")}`);

function showDrift({ drift, events, since, until, span }) {
  $("drift").replaceChildren(...drift.flatMap((one) => [
    h("h3", {}, title(one.run)),
    facts(
      [t("Items learnt"), count(one.items)],
      [t("Items added since"), one.added ? t("{}, {} of them recommendable", count(one.added), count(one.recommendable)) : "0"],
      [t("Items changed since"), count(one.changed)],
      [t("Items hidden by rules"), count(one.hidden)],
      [t("Events compared"), count(one.events)],
      [t("Events on items not learnt"), ...between(one.new_items, percent)],
      [t("Users not learnt"), ...between(one.new_users, percent)],
      [t("Shift of popularity"), shiftInWords(one.popularity_shift)],
    ),
  ]));
  const xs = begins(since, until, span);
  const kinds = [...new Set(events.map((one) => one.kind))].sort();
  $("event-charts").replaceChildren(...kinds.map((kind) => {
    const known = new Map(events.filter((one) => one.kind === kind).map((one) => [one.since, one.events]));
    const points = xs.map((x) => ({ value: known.get(x) ?? 0 }));
    const name = kind ? t("Events: {}", kind) : t("Events without a kind");
    return chart(title(name), "", lines({ name, xs, show: short, day: span < 86400 ? hourOf : dayOf, series: [{ name: kind || "events", at: 0, points }] }));
  }));
}

function modelsOf({ language_models: models, since, until, span }) {
  if (!models.length) return [none(t("No language model was called in this time."))];
  const sum = (one, name) => one.spans.reduce((total, spent) => total + spent[name], 0);
  const xs = begins(since, until, span);
  const charts = [[t("Money"), "money", amount], [t("Tokens"), "tokens", short]].filter(([, name]) => models.some((one) => sum(one, name)));
  return [
    table(t("What language models used"), [
      { name: t("Job"), of: (one) => title(one.job) },
      { name: t("Calls"), number: true, of: (one) => count(sum(one, "calls")) },
      { name: t("Failed"), number: true, of: (one) => count(sum(one, "failed")) },
      { name: t("Tokens"), number: true, of: (one) => count(sum(one, "tokens")) },
      { name: t("Money"), number: true, of: (one) => amount(sum(one, "money")) },
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

function refreshOf({ run, last, running_since: running, next }) {
  return h("div", { class: "refresh" }, h("h3", {}, title(run)), facts(
    [t("Last"), ...(last ? [tag(RESULTS[last.result][0], RESULTS[last.result][1]), h("small", {}, t("{}, took {}", moment(last.began), duration(last.seconds)))] : [t("never, since it was made")])],
    [t("Next"), running ? t("goes on since {}", moment(running)) : next ? moment(next) : t("by hand: this server makes none (--refresh-every)")],
    last?.news && [t("News"), title(said(last.news))],
    last?.gate && [t("Gate"), title(said(last.gate))],
    last?.message && [t("Why"), title(said(last.message))],
  ));
}

// --- starting ---------------------------------------------------------------------------------------

function start() {
  translatePage();
  listenToTheme();
  const chosen = new URLSearchParams(location.hash.slice(1)).get("days");
  if ([...$("days").options].some((option) => option.value === chosen)) $("days").value = chosen;
  $("days").addEventListener("change", () => { history.replaceState(null, "", `#days=${$("days").value}`); load(); });
  $("update").addEventListener("click", load);
  $("key-form").addEventListener("submit", (event) => { event.preventDefault(); key = $("key").value.trim(); load(); });
  load();
}

start();
