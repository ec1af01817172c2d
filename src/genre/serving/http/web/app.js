// The page: the chosen titles are kept here, and every change of them requests a new list. Clicks are recorded only where
// the switch for it is on.

import { fillCards } from "./cards.js";
import { BADGES, SOURCES, fallback } from "./codes.js";
import { $, h, replace, title } from "./dom.js";
import { filterControls, offered, readFilters } from "./filters.js";
import { listenToFinder } from "./finder.js";
import { categoriesOf, chooseFields, fieldsToAnswer, mini, pageOf, shown } from "./items.js";
import { language, listenToTheme, t, translatePage } from "./language.js";
import { isRecording, record, recordAs, startRecording, stopRecording } from "./recording.js";
import { itemPath, query, request } from "./service.js";
import { evidence } from "./why.js";

const K = 20;
const state = {
  runs: [], run: "", recommender: "", other: "", compare: false, novelty: 0, diversity: 0,
  taste: [], hidden: [], words: "", user: "", filter: {}, fields: [], list: null, begun: 0,
};

// --- requests ---------------------------------------------------------------------------------------

const runNow = () => state.runs.find((run) => run.run === state.run) ?? { fields: [], recommenders: [] };
const inRun = (more = {}) => query({ run: state.run, ...more });
const options = () => ({ fields: fieldsToAnswer().join(","), record: false, language });

// a recorded visitor, or a loaded history that was not changed, is requested as that user
function person() {
  const user = recordAs() || state.user;
  return user ? { user_id: user } : { history: state.taste.map((one) => one.item_id) };
}

function listBody(recommender, first) {
  return {
    ...person(), ask: state.words || null, k: K, run: state.run, recommender, language,
    novelty: state.novelty, diversity: state.diversity, exclude: state.hidden, fields: fieldsToAnswer(), filter: state.filter,
    record: isRecording() && first, // a person who tries things out is no customer
  };
}

let running = null, stale = false;
let problem = ""; // what the last action could not do, said with the list that answers it

/** Request a list and show it. One request at a time: all changes made meanwhile go into the next one. */
function refresh() {
  showTaste();
  stale = true;
  running ??= requestLists();
  return running;
}

async function requestLists() {
  $("lists").setAttribute("aria-busy", "true");
  while (stale) {
    stale = false;
    const started = state.begun || performance.now(), names = state.compare ? [state.recommender, state.other] : [state.recommender];
    try {
      const lists = await Promise.all(names.map((name, at) => request("v1/recommendations", listBody(name, at === 0))));
      state.begun = 0;
      [state.list] = lists;
      showLists(lists, performance.now() - started);
      trouble(problem);
    } catch (error) {
      if (!stale) trouble(problem || error.message);
    }
  }
  problem = "";
  running = null;
  $("lists").removeAttribute("aria-busy");
  remember();
}

// --- showing ----------------------------------------------------------------------------------------

function trouble(text) {
  $("trouble").hidden = !text;
  $("trouble-text").textContent = text;
}

function chip(id, name, label, remove, kind) {
  return h("li", { "data-id": id, class: kind },
    title(name, "span", { title: name }),
    h("button", { type: "button", "aria-label": label, onclick: remove }, "×"));
}

function showTaste() {
  const query = state.words ? [chip("", `“${state.words}”`, t("Remove {}", `“${state.words}”`), dropWords, "query")] : [];
  replace($("taste"), [...query, ...state.taste.map((one) => chip(one.item_id, one.title, t("Remove {}", one.title), () => drop(one.item_id)))]);
  $("no-taste").hidden = state.taste.length > 0 || query.length > 0;
  $("hidden").hidden = state.hidden.length === 0;
  $("hidden").textContent = state.hidden.length === 1 ? t("Show the hidden title again") : t("Show {} hidden titles again", state.hidden.length);
  $("clear").disabled = !(state.taste.length || state.words || state.hidden.length || Object.keys(state.filter).length);
}

function showLists(lists, milliseconds) {
  const [first, second] = lists;
  const begun = state.taste.length > 0 || Boolean(state.words);
  $("headline").textContent = state.words ? `“${state.words}”`
    : recordAs() || state.user ? t("For user {}", recordAs() || state.user) : begun ? t("For you") : t("Choose a few you like");
  $("status").replaceChildren(...statusLine(first, lists, milliseconds, begun));
  $("second").hidden = !second;
  $("one-title").className = second ? "column-title" : "unseen";
  $("one-title").textContent = second ? first.recommender : t("The list");
  $("lists").classList.toggle("two", Boolean(second));
  $("list").classList.toggle("rows", Boolean(second));
  fill($("list"), first, second);
  if (second) {
    $("other-title").textContent = second.recommender;
    fill($("other-list"), second, first);
  }
  showKinds(first);
  $("more").hidden = !begun;
}

/** How the list came about, how much two lists share, and how long it took. */
function statusLine(first, lists, milliseconds, begun) {
  const parts = [];
  const by = state.words && first.source === "content" ? t(state.taste.length ? "by your words and your taste" : "by your words")
    : sharedReason(first) || SOURCES[first.source];
  if (begun) parts.push(h("b", { class: "badge" }, BADGES[first.source]), ` ${by}`);
  else {
    parts.push(t(isRecording() ? "Popular titles, until you choose some. The list changes with every click; clicks are recorded."
      : "Popular titles, until you choose some. The list changes with every click; nothing is recorded."));
  }
  if (first.fallback) parts.push(` · ${fallback(first.fallback)}`);
  if (lists.length > 1) {
    const others = new Set(lists[1].items.map((one) => one.item_id));
    parts.push(` · ${t("{} of {} in both lists", first.items.filter((one) => others.has(one.item_id)).length, first.items.length)}`);
  }
  if (begun) parts.push(` · ${t(isRecording() ? "recorded and answered in {} ms" : "{} ms", Math.max(1, Math.round(milliseconds))).replace(/ (?=ms$)/, "\u00a0")}`);
  return parts;
}

/** The reason that all items of a popular list share: shown once, not on every card. */
function sharedReason(answer) {
  const [first] = answer.items;
  return answer.source === "popular" && first && answer.items.every((one) => one.reason === first.reason) ? first.reason : "";
}

function fill(list, answer, against) {
  const narrowed = Object.keys(state.filter).length || state.hidden.length;
  const nothing = t(narrowed ? "Nothing is left to recommend. Remove a filter, or show the hidden titles." : "Nothing is left to recommend.");
  const shared = Boolean(sharedReason(answer));
  fillCards(list, shared ? answer.items.map((one) => ({ ...one, reason: "" })) : answer.items, against?.items, nothing, {
    chosen: new Set(state.taste.map((one) => one.item_id)), like: add, hide, why: (one) => explain(one, answer.recommender), link: linkTo,
  });
}

/** A link to the page of an item; following it is a click on it. */
const linkTo = (one) => {
  const link = title(one.title, "a", { href: pageOf(one.item_id, state.run, kept()) });
  link.addEventListener("click", () => { record("click", one, state.list, { keepalive: true }).catch(() => {}); });
  return link;
};

function showKinds(answer) {
  const field = shown.category, chosen = state.filter[field] ?? [];
  const counts = new Map(chosen.map((kind) => [kind, Infinity]));
  for (const one of answer.items) for (const kind of categoriesOf(one)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  const kinds = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 10).map(([kind]) => kind);
  replace($("kinds"), kinds.map((kind) => {
    const on = chosen.includes(kind);
    const flip = () => changeFilter(field, on ? chosen.filter((other) => other !== kind) : [...chosen, kind]);
    return h("li", { "data-id": kind }, h("button", { type: "button", "aria-pressed": String(on), onclick: flip }, kind));
  }));
}

/** The controls of the side; the one that was used keeps the keyboard. */
function showFilters() {
  const held = document.activeElement?.closest?.("#filter-fields [data-field]")?.dataset.field;
  const at = held && [...document.activeElement.closest("[data-field]").querySelectorAll("input, select")].indexOf(document.activeElement);
  $("filters").hidden = state.fields.length === 0;
  $("filter-fields").replaceChildren(...filterControls(state.fields, state.filter, changeFilter));
  $("no-filters").disabled = Object.keys(state.filter).length === 0;
  if (held) [...$("filter-fields").children].find((one) => one.dataset.field === held)?.querySelectorAll("input, select")[at]?.focus();
}

function changeFilter(field, value) {
  const { [field]: _, ...others } = state.filter;
  state.filter = value && (!Array.isArray(value) || value.length) ? { ...others, [field]: value } : others;
  showFilters();
  refresh();
}

async function showPopular() {
  const popular = await request(`v1/popular?${inRun({ k: 30, ...options() })}`);
  replace($("popular"), popular.items.map((one) => mini(one, t("I like {}", one.title), () => add(one))));
}

// --- explanations -----------------------------------------------------------------------------------

async function explain(one, recommender = state.recommender) {
  const sheet = $("why");
  try {
    const body = { item_id: one.item_id, ...person(), ask: state.words || null, run: state.run, recommender, language };
    const [why, alike] = await Promise.all([
      request("v1/explanations", body),
      request(`${itemPath(one.item_id)}/similar?${inRun({ recommender, k: 6, ...options() })}`),
    ]);
    const close = () => sheet.close();
    sheet.replaceChildren(...evidence(one, why, alike, {
      close, like: () => { close(); add(one); }, open: (other) => explain(other, recommender), page: pageOf(one.item_id, state.run, kept()),
    }));
    if (!sheet.open) sheet.showModal();
    else sheet.querySelector(".close").focus();
    sheet.scrollTop = 0;
  } catch (error) {
    trouble(error.message);
  }
}

// --- changing ---------------------------------------------------------------------------------------
/** Record what was done, where the switch is on; the next list answers it. */
async function follow(kind, one) {
  if (!isRecording()) {
    state.user = $("user").value = "";
    return;
  }
  state.begun = performance.now();
  try {
    await record(kind, one, state.list);
    const user = await request(`v1/users/${encodeURIComponent(recordAs())}?${inRun()}`);
    state.taste = liked(user);
  } catch (error) {
    unrecorded(error);
  }
}

const liked = (user) => user.history.filter((one) => one.weight > 0).slice(-1000).map(({ item_id, title: name }) => ({ item_id, title: name }));

function unrecorded(error) {
  if (error.status === 403) stopRecording();
  showRecording();
  problem = error.status === 403 ? t("This key may not record events.") : error.message;
}

async function add(one) {
  if (state.taste.some((other) => other.item_id === one.item_id)) return;
  state.taste = [...state.taste, { item_id: one.item_id, title: one.title }].slice(-1000);
  await follow("like", one);
  return refresh();
}

async function drop(itemId) {
  const one = state.taste.find((other) => other.item_id === itemId);
  state.taste = state.taste.filter((other) => other !== one);
  await follow("dislike", one);
  return refresh();
}

async function changeRecording() {
  if ($("record").checked) {
    startRecording(state.user);
    try {
      if (!state.user) for (const one of state.taste) await record("like", one, null);
    } catch (error) {
      unrecorded(error);
    }
  } else {
    stopRecording();
    state.user = $("user").value = "";
  }
  showRecording();
  refresh();
}

function showRecording() {
  $("record").checked = isRecording();
  $("recording").textContent = isRecording() ? t("Stored as user {}. Every click goes to the service, and the list follows at once.", recordAs())
    : t("Off: nothing is stored. On: likes, hides and clicks go to the service, and the list follows at once.");
}

async function hide(one) {
  state.hidden = [...state.hidden, one.item_id].slice(-1000);
  if (isRecording()) await follow("dislike", one);
  return refresh();
}

function dropWords() {
  state.words = "";
  refresh();
}

function clear() {
  stopRecording();
  showRecording();
  Object.assign(state, { taste: [], hidden: [], words: "", user: "", filter: {} });
  $("words").value = $("user").value = "";
  showFilters();
  refresh();
}

async function loadUser(userId) {
  stopRecording();
  showRecording();
  try {
    const user = await request(`v1/users/${encodeURIComponent(userId)}?${inRun()}`);
    const taste = liked(user);
    if (taste.length) Object.assign(state, { user: userId, taste });
    else problem = t("User {} has no history.", userId);
    if (user.fallback) problem = `${problem} ${t("Recent events are missing: the event log does not answer.")}`.trim();
  } catch (error) {
    problem = error.message;
  }
  $("user").value = state.user;
  return refresh();
}

// --- starting ---------------------------------------------------------------------------------------

/** What a link has to hold so that it shows what its sender saw. */
function kept() {
  const values = {
    run: state.runs.length > 1 ? state.run : "", by: state.recommender, with: state.compare ? state.other : "",
    novelty: state.novelty || "", diversity: state.diversity || "", ask: state.words,
    user: state.user, taste: state.user || isRecording() ? "" : JSON.stringify(state.taste.map((one) => one.item_id)),
    filter: JSON.stringify(state.filter), hidden: JSON.stringify(state.hidden),
  };
  return new URLSearchParams(Object.entries(values).filter(([, value]) => !["", "[]", "{}"].includes(value)));
}

const remember = () => history.replaceState(null, "", `#${kept()}`);
/** The texts of a list in a link; a link may come from a stranger, so only plain ids pass. */
function listIn(text) {
  try {
    return JSON.parse(text ?? "[]").map(String).filter((one) => /^[^\p{Cc}\p{Cs}]{1,512}$/u.test(one)).slice(0, 1000);
  } catch {
    return [];
  }
}

/** These items with their titles, in this order, without those the run does not have. */
async function named(ids) {
  if (!ids.length) return [];
  const body = { history: [], include: ids, k: ids.length, run: state.run, record: false };
  const found = await request("v1/recommendations", body).catch(() => ({ items: [] }));
  const titles = new Map(found.items.map((one) => [one.item_id, one.title]));
  return [...new Set(ids)].filter((id) => titles.has(id)).map((id) => ({ item_id: id, title: titles.get(id) }));
}

async function recall() {
  const link = new URLSearchParams(location.hash.slice(1));
  if (state.runs.some((run) => run.run === link.get("run"))) state.run = link.get("run");
  const known = runNow().recommenders, chosen = (name) => (known.includes(link.get(name)) ? link.get(name) : "");
  state.recommender = chosen("by") || known[0];
  state.other = chosen("with") || known.find((name) => name !== state.recommender) || known[0];
  state.compare = Boolean(chosen("with"));
  state.novelty = Math.min(1, Math.max(0, Number(link.get("novelty")) || 0));
  state.diversity = Math.min(1, Math.max(0, Number(link.get("diversity")) || 0));
  state.words = (link.get("ask") ?? "").slice(0, 1000);
  state.filter = readFilters(link.get("filter"));
  state.hidden = listIn(link.get("hidden"));
  state.taste = await named(listIn(link.get("taste")));
  return { user: link.get("user"), like: listIn(JSON.stringify([link.get("like") ?? ""]))[0] };
}

function choices(select, names, chosen) {
  select.replaceChildren(...names.map((name) => h("option", { value: name, selected: name === chosen }, name)));
  select.value = chosen;
}

function showChoices() {
  choices($("run"), state.runs.map((run) => run.run), state.run);
  choices($("recommender"), runNow().recommenders, state.recommender);
  choices($("other"), runNow().recommenders, state.other);
  $("run-choice").hidden = state.runs.length < 2;
  $("other-choice").hidden = !state.compare;
  $("compare").checked = state.compare;
  $("compare").disabled = runNow().recommenders.length < 2;
  for (const dial of ["novelty", "diversity"]) {
    $(dial).value = Math.round(state[dial] * 100);
    $(`${dial}-is`).textContent = state[dial] ? `${Math.round(state[dial] * 100)}%` : t("off");
  }
  $("settings-are").textContent = state.recommender;
  const values = (runNow().leaderboard ?? []).find((one) => one.name === state.recommender)?.values ?? {};
  const metric = Object.keys(values).find((name) => name.startsWith("ndcg") && typeof values[name] === "number");
  const place = runNow().recommenders.indexOf(state.recommender) + 1;
  const n = runNow().recommenders.length, ranked = place === 1 ? t("First of {} by validation", n) : t("Number {} of {} by validation", place, n);
  $("ranking").textContent = t("{}.", metric ? t("{}, {} {} in the test", ranked, metric, values[metric].toFixed(3)) : ranked);
  $("report").hidden = !runNow().report;
  $("report").href = `v1/runs/${encodeURIComponent(state.run)}/report`;
}

async function changeRun() {
  state.recommender = runNow().recommenders[0];
  state.other = runNow().recommenders[1] ?? state.recommender;
  state.filter = {};
  await showRun();
  refresh();
}

async function showRun() {
  showChoices();
  const { filters } = await request(`v1/filters?${inRun()}`);
  chooseFields(runNow().fields, filters);
  state.fields = offered(filters);
  const names = new Set(runNow().fields); // of a link from another run, filters of fields that this one does not have
  state.filter = Object.fromEntries(Object.entries(state.filter).filter(([field]) => names.has(field)));
  showFilters();
  const known = await request(`v1/users?${inRun({ k: 200 })}`);
  $("users").replaceChildren(...known.users.map((id) => h("option", { value: id })));
  await showPopular();
}

function listen() {
  const on = (id, event, act) => $(id).addEventListener(event, act);
  listenToFinder({
    search: async (text) => (await request(`v1/items?${inRun({ search: text, k: 7 })}`)).items,
    takesWords: () => runNow().takes_words, choose: add, describe: (text) => { state.words = text; refresh(); }, trouble,
  });
  on("user", "change", () => { if ($("user").value.trim()) loadUser($("user").value.trim()); });
  on("random-user", "click", () => {
    const known = [...$("users").children].map((one) => one.value);
    if (known.length) { $("user").value = known[Math.floor(Math.random() * known.length)]; loadUser($("user").value); }
  });
  on("clear", "click", () => { $("random-user").focus(); clear(); });
  on("hidden", "click", () => { $("list").focus(); state.hidden = []; refresh(); });
  on("run", "change", () => { state.run = $("run").value; changeRun(); });
  on("recommender", "change", () => { state.recommender = $("recommender").value; showChoices(); refresh(); });
  on("other", "change", () => { state.other = $("other").value; refresh(); });
  on("compare", "change", () => { state.compare = $("compare").checked; showChoices(); refresh(); });
  for (const dial of ["novelty", "diversity"]) on(dial, "input", () => { state[dial] = $(dial).value / 100; showChoices(); refresh(); });
  on("dismiss", "click", () => trouble(""));
  on("why", "click", (event) => { if (event.target === $("why")) $("why").close(); });
  on("record", "change", changeRecording);
  on("no-filters", "click", () => { $("list").focus(); state.filter = {}; showFilters(); refresh(); });
}

async function start() {
  translatePage();
  listenToTheme();
  listen();
  showRecording();
  $("settings").open = $("filters").open = matchMedia("(min-width: 761px)").matches;
  try {
    state.runs = (await request("v1/runs")).runs;
    state.run = state.runs[0].run;
    const { user, like } = await recall();
    await showRun().catch(() => {}); // the list matters more
    if (isRecording()) state.taste = liked(await request(`v1/users/${encodeURIComponent(recordAs())}?${inRun()}`));
    await (user && !isRecording() ? loadUser(user) : refresh());
    for (const one of await named(like ? [like] : [])) await add(one); // from the page of an item
  } catch (error) {
    trouble(error.message);
  }
  document.body.dataset.ready = "";
}

start();
