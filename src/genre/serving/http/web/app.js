// The page: the chosen titles are kept here, and every change of them requests a new list. Nothing is recorded.

import { BADGES, SOURCES, fallback } from "./codes.js";
import { cover, ground, nameCategories } from "./covers.js";
import { $, h, replace, title, upper } from "./dom.js";
import { listenToFinder } from "./finder.js";
import { CATEGORIES, FACTS, categoriesOf, factsOf, mini } from "./items.js";
import { evidence } from "./why.js";

const K = 20;
const state = {
  runs: [], run: "", recommender: "", other: "", compare: false, novelty: 0, diversity: 0,
  taste: [], hidden: [], words: "", user: "", kinds: [],
};

// --- requests ---------------------------------------------------------------------------------------

async function request(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  };
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("The service does not answer.");
  }
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(found.detail ?? "The service could not answer.");
  for (const one of [found.items, found.history, found.because].flat()) if (one && !one.title.trim()) one.title = one.item_id;
  return found;
}

const runNow = () => state.runs.find((run) => run.run === state.run) ?? { fields: [], recommenders: [] };
const fieldsNow = () => [...CATEGORIES, ...FACTS].filter((field) => runNow().fields.includes(field));
const item = (id) => `v1/items/${encodeURIComponent(id)}`;
const inRun = (more = {}) => new URLSearchParams({ run: state.run, ...more });

// a loaded history that was not changed is requested as that user, whom the recommender knows from its training
const person = () => (state.user ? { user_id: state.user } : { history: state.taste.map((one) => one.item_id) });

function listBody(recommender) {
  const field = CATEGORIES.find((name) => runNow().fields.includes(name));
  return {
    ...person(), ask: state.words || null, k: K, run: state.run, recommender,
    novelty: state.novelty, diversity: state.diversity, exclude: state.hidden, fields: fieldsNow(),
    filter: state.kinds.length && field ? { [field]: state.kinds } : {},
    record: false, // a person who tries things out is no customer
  };
}

let running = null, stale = false;

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
    const started = performance.now(), names = state.compare ? [state.recommender, state.other] : [state.recommender];
    try {
      const lists = await Promise.all(names.map((name) => request("v1/recommendations", listBody(name))));
      showLists(lists, performance.now() - started);
      trouble("");
    } catch (error) {
      if (!stale) trouble(error.message);
    }
  }
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
  const query = state.words ? [chip("", `“${state.words}”`, `Remove “${state.words}”`, dropWords, "query")] : [];
  replace($("taste"), [...query, ...state.taste.map((one) => chip(one.item_id, one.title, `Remove ${one.title}`, () => drop(one.item_id)))]);
  $("no-taste").hidden = state.taste.length > 0 || query.length > 0;
  $("hidden").hidden = state.hidden.length === 0;
  $("hidden").textContent = state.hidden.length === 1 ? "Show the hidden title again" : `Show ${state.hidden.length} hidden titles again`;
  $("clear").disabled = !(state.taste.length || state.words || state.hidden.length || state.kinds.length);
}

function showLists(lists, milliseconds) {
  const [first, second] = lists;
  const begun = state.taste.length > 0 || Boolean(state.words);
  $("headline").textContent = state.words ? `“${state.words}”`
    : state.user ? `For user ${state.user}` : begun ? "For you" : "Tap a few you like";
  $("status").replaceChildren(...statusLine(first, lists, milliseconds, begun));
  $("second").hidden = !second;
  $("one-title").className = second ? "column-title" : "unseen";
  $("one-title").textContent = second ? first.recommender : "The list";
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
  const by = state.words && first.source === "content" ? `by your words${state.taste.length ? " and your taste" : ""}`
    : sharedReason(first) || SOURCES[first.source];
  if (begun) parts.push(h("b", { class: "badge" }, BADGES[first.source]), ` ${by}`);
  else parts.push("Popular titles, until you choose some. The list changes with every click; nothing is recorded.");
  if (first.fallback) parts.push(` · ${fallback(first.fallback)}`);
  if (lists.length > 1) {
    const others = new Set(lists[1].items.map((one) => one.item_id));
    parts.push(` · ${first.items.filter((one) => others.has(one.item_id)).length} of ${first.items.length} in both lists`);
  }
  if (begun) parts.push(` · ${Math.max(1, Math.round(milliseconds))}\u00a0ms`);
  return parts;
}

/** The reason that all items of a popular list share: shown once, not on every card. */
function sharedReason(answer) {
  const [first] = answer.items;
  return answer.source === "popular" && first && answer.items.every((one) => one.reason === first.reason) ? first.reason : "";
}

function fill(list, answer, against) {
  const before = new Map([...list.children].map((card) => [card.dataset.id, card]));
  const places = new Map([...before].map(([id, card]) => [id, card.getBoundingClientRect()]));
  const rank = against && new Map(against.items.map((one, at) => [one.item_id, at]));
  const shared = Boolean(sharedReason(answer));
  const cards = answer.items.map((one, at) => cardOf(shared ? { ...one, reason: "" } : one, at, answer.recommender, rank));
  const narrowed = state.kinds.length || state.hidden.length;
  const rest = h("li", { class: "nothing" }, `Nothing is left to recommend.${narrowed ? " Remove a filter, or show the hidden titles." : ""}`);
  replace(list, cards.length ? cards : [rest]);
  move(cards, places);
}

/** Cards glide from where they were; new ones appear. */
function move(cards, places) {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  for (const card of cards) {
    const was = places.get(card.dataset.id), is = card.getBoundingClientRect();
    if (!was) card.animate([{ opacity: 0, transform: "translateY(10px)" }, { opacity: 1, transform: "none" }], { duration: 260, easing: "ease-out" });
    else if (was.left !== is.left || was.top !== is.top) {
      card.animate([{ transform: `translate(${was.left - is.left}px, ${was.top - is.top}px)` }, { transform: "none" }], { duration: 420, easing: "cubic-bezier(.2,.8,.2,1)" });
    }
  }
}

function cardOf(one, at, recommender, rank) {
  const chosen = state.taste.some((other) => other.item_id === one.item_id);
  const face = h("div", { class: "face" },
    cover(one.item_id, categoriesOf(one)),
    h("span", { class: "rank", "aria-hidden": "true" }, String(at + 1)),
    title(one.title, "h3", { title: one.title }));
  face.style.setProperty("--ground", ground(one.item_id, categoriesOf(one)));
  const card = h("li", { class: "card", "data-id": one.item_id },
    face,
    h("div", { class: "about" },
      title(factsOf(one), "p", { class: "facts" }),
      one.reason && title(upper(one.reason), "p", { class: "reason", title: one.reason })),
    rank && delta(rank.get(one.item_id), at),
    h("div", { class: "acts" },
      h("button", { type: "button", class: "like", "aria-label": `I like ${one.title}`, disabled: chosen, onclick: () => add(one) }, "Like"),
      h("button", { type: "button", "aria-label": `Why ${one.title}`, onclick: () => explain(one, recommender) }, "Why"),
      h("button", { type: "button", class: "away", "aria-label": `Hide ${one.title}`, onclick: () => hide(one) }, "Hide")));
  if (rank) {
    card.addEventListener("pointerenter", () => light(one.item_id, true));
    card.addEventListener("pointerleave", () => light(one.item_id, false));
  }
  return card;
}

function delta(there, here) {
  if (there === undefined) return h("span", { class: "delta only" }, "only here");
  const by = there - here;
  const text = by === 0 ? "same place" : `${by > 0 ? "▲" : "▼"} ${Math.abs(by)}`;
  const label = by === 0 ? "same place in both" : `${Math.abs(by)} places ${by > 0 ? "higher" : "lower"} than in the other list`;
  return h("span", { class: `delta ${by > 0 ? "up" : by < 0 ? "down" : ""}`, "aria-label": label, role: "img" }, text);
}

function light(id, on) {
  for (const card of document.querySelectorAll(".card")) if (card.dataset.id === id) card.classList.toggle("lit", on);
}

function showKinds(answer) {
  const counts = new Map(state.kinds.map((kind) => [kind, Infinity]));
  for (const one of answer.items) for (const kind of categoriesOf(one)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  const kinds = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 10).map(([kind]) => kind);
  replace($("kinds"), kinds.map((kind) => {
    const on = state.kinds.includes(kind);
    const flip = () => { state.kinds = on ? state.kinds.filter((other) => other !== kind) : [...state.kinds, kind]; refresh(); };
    return h("li", { "data-id": kind }, h("button", { type: "button", "aria-pressed": String(on), onclick: flip }, kind));
  }));
}

async function showPopular() {
  const popular = await request(`v1/popular?${inRun({ k: 30, fields: fieldsNow().join(","), record: false })}`);
  nameCategories(popular.items.flatMap(categoriesOf));
  replace($("popular"), popular.items.map((one) => mini(one, "I like", () => add(one))));
}

// --- explanations -----------------------------------------------------------------------------------

async function explain(one, recommender = state.recommender) {
  const sheet = $("why");
  try {
    const body = { item_id: one.item_id, ...person(), ask: state.words || null, run: state.run, recommender };
    const [why, alike] = await Promise.all([
      request("v1/explanations", body),
      request(`${item(one.item_id)}/similar?${inRun({ recommender, k: 6, fields: fieldsNow().join(",") })}`),
    ]);
    const close = () => sheet.close();
    sheet.replaceChildren(...evidence(one, why, alike, {
      close, like: () => { close(); add(one); }, open: (other) => explain(other, recommender),
    }));
    if (!sheet.open) sheet.showModal();
    else sheet.querySelector(".close").focus();
    sheet.scrollTop = 0;
  } catch (error) {
    trouble(error.message);
  }
}

// --- changing ---------------------------------------------------------------------------------------

function add(one) {
  if (state.taste.some((other) => other.item_id === one.item_id)) return;
  state.taste = [...state.taste, { item_id: one.item_id, title: one.title }].slice(-1000);
  state.user = $("user").value = "";
  refresh();
}

function drop(itemId) {
  state.taste = state.taste.filter((one) => one.item_id !== itemId);
  state.user = $("user").value = "";
  refresh();
}

function hide(one) {
  state.hidden = [...state.hidden, one.item_id].slice(-1000);
  refresh();
}

function dropWords() {
  state.words = "";
  refresh();
}

function clear() {
  Object.assign(state, { taste: [], hidden: [], words: "", user: "", kinds: [] });
  $("words").value = $("user").value = "";
  refresh();
}

async function loadUser(userId) {
  let problem = "";
  try {
    const user = await request(`v1/users/${encodeURIComponent(userId)}?${inRun()}`);
    const liked = user.history.filter((one) => one.weight > 0).slice(-1000);
    if (liked.length) Object.assign(state, { user: userId, taste: liked.map(({ item_id, title: name }) => ({ item_id, title: name })) });
    else problem = `User ${userId} has no history.`;
    if (user.fallback) problem = `${problem} Recent events are missing: the event log does not answer.`.trim();
  } catch (error) {
    problem = error.message;
  }
  $("user").value = state.user;
  await refresh();
  if (problem) trouble(problem);
}

// --- starting ---------------------------------------------------------------------------------------

function remember() { // in the address, so that a link shows what its sender saw
  const kept = {
    run: state.runs.length > 1 ? state.run : "", by: state.recommender, with: state.compare ? state.other : "",
    novelty: state.novelty || "", diversity: state.diversity || "", ask: state.words,
    user: state.user, taste: state.user ? "" : JSON.stringify(state.taste.map((one) => one.item_id)),
    only: JSON.stringify(state.kinds), hidden: JSON.stringify(state.hidden),
  };
  const pairs = Object.entries(kept).filter(([, value]) => value !== "" && value !== "[]");
  history.replaceState(null, "", `#${new URLSearchParams(pairs)}`);
}

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
  const body = { history: [], include: ids, k: ids.length, run: state.run };
  const found = await request("v1/recommendations", body).catch(() => ({ items: [] }));
  const titles = new Map(found.items.map((one) => [one.item_id, one.title]));
  return [...new Set(ids)].filter((id) => titles.has(id)).map((id) => ({ item_id: id, title: titles.get(id) }));
}

async function recall() {
  const kept = new URLSearchParams(location.hash.slice(1));
  if (state.runs.some((run) => run.run === kept.get("run"))) state.run = kept.get("run");
  const known = runNow().recommenders, chosen = (name) => (known.includes(kept.get(name)) ? kept.get(name) : "");
  state.recommender = chosen("by") || known[0];
  state.other = chosen("with") || known.find((name) => name !== state.recommender) || known[0];
  state.compare = Boolean(chosen("with"));
  state.novelty = Math.min(1, Math.max(0, Number(kept.get("novelty")) || 0));
  state.diversity = Math.min(1, Math.max(0, Number(kept.get("diversity")) || 0));
  state.words = (kept.get("ask") ?? "").slice(0, 1000);
  state.kinds = listIn(kept.get("only")).slice(0, 20);
  state.hidden = listIn(kept.get("hidden"));
  state.taste = await named(listIn(kept.get("taste")));
  return kept.get("user");
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
    $(`${dial}-is`).textContent = state[dial] ? `${Math.round(state[dial] * 100)}%` : "off";
  }
  $("settings-are").textContent = state.recommender;
  const values = (runNow().leaderboard ?? []).find((one) => one.name === state.recommender)?.values ?? {};
  const metric = Object.keys(values).find((name) => name.startsWith("ndcg") && typeof values[name] === "number");
  const place = runNow().recommenders.indexOf(state.recommender) + 1;
  const tested = metric ? `, ${metric} ${values[metric].toFixed(3)} in the test` : "";
  $("ranking").textContent = `${place === 1 ? "First" : `Number ${place}`} of ${runNow().recommenders.length} by validation${tested}.`;
  $("report").hidden = !runNow().report;
  $("report").href = `v1/runs/${encodeURIComponent(state.run)}/report`;
}

async function changeRun() {
  state.recommender = runNow().recommenders[0];
  state.other = runNow().recommenders[1] ?? state.recommender;
  state.kinds = [];
  await showRun();
  refresh();
}

async function showRun() {
  showChoices();
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
  on("theme", "click", () => {
    const dark = getComputedStyle(document.documentElement).colorScheme === "dark";
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("theme", document.documentElement.dataset.theme);
  });
}

async function start() {
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  listen();
  $("settings").open = matchMedia("(min-width: 761px)").matches;
  try {
    state.runs = (await request("v1/runs")).runs;
    state.run = state.runs[0].run;
    const user = await recall();
    await showRun().catch(() => {}); // the list matters more
    if (user) await loadUser(user);
    else await refresh();
  } catch (error) {
    trouble(error.message);
  }
  document.body.dataset.ready = "";
}

start();
