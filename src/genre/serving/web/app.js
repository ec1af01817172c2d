// The page: a taste is a list of item ids kept here; every change of it asks the service for a new list.
// Nothing is recorded. Text from the service becomes text on the page, never markup.

import { cover, nameCategories } from "./covers.js";

const K = 20;
const CATEGORIES = ["genres", "genre", "categories", "category", "tags", "topics", "topic"];
const FACTS = ["year", "artist", "author", "brand", "director", "price"];
const SOURCES = {
  personal: "as the recommender learnt this user",
  folded_in: "scored from this history, nothing retrained",
  content: "by what the items are about",
  popular: "what everybody takes",
};
const state = {
  runs: [], run: "", recommender: "", other: "", compare: false, novelty: 0, explore: 0,
  taste: [], away: [], words: "", user: "", kinds: [],
};
const $ = (id) => document.getElementById(id);

// --- building ---------------------------------------------------------------------------------------

function h(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

const categoriesOf = (item) => {
  const name = CATEGORIES.find((field) => item.fields?.[field]);
  if (!name) return [];
  const value = item.fields[name];
  return (Array.isArray(value) ? value : String(value).split(/[|,;]/)).map((part) => String(part).trim()).filter(Boolean);
};

const factsOf = (item) => {
  const facts = FACTS.map((field) => item.fields?.[field]).filter((fact) => fact != null && !item.title.includes(`(${fact})`));
  return [...facts, ...categoriesOf(item).slice(0, 3)].join(" · ");
};

const upper = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const calm = (text) => String(text).replace(/[\u202a-\u202e\u2066-\u2069]/g, ""); // marks that turn the text around them
const title = (text, tag = "span", attributes = {}) => h(tag, { dir: "auto", ...attributes }, calm(text));

// --- asking -----------------------------------------------------------------------------------------

async function ask(path, body) {
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
  return found;
}

const runNow = () => state.runs.find((run) => run.run === state.run) ?? { fields: [], recommenders: [] };
const fieldsNow = () => [...CATEGORIES, ...FACTS].filter((field) => runNow().fields.includes(field));
const item = (id) => `v1/items/${encodeURIComponent(id)}`;
const inRun = (more = {}) => new URLSearchParams({ run: state.run, ...more });

// a borrowed history that was not touched is that user, as the recommender knows them
const whose = () => (state.user ? { user_id: state.user } : { history: state.taste.map((one) => one.item_id) });

function wanted(recommender) {
  const field = CATEGORIES.find((name) => runNow().fields.includes(name));
  return {
    ...whose(), ask: state.words || null, k: K, run: state.run, recommender,
    novelty: state.novelty, explore: state.explore, exclude: state.away, fields: fieldsNow(),
    filter: state.kinds.length && field ? { [field]: state.kinds } : {},
  };
}

let newest = 0;
async function refresh() {
  const mine = ++newest, started = performance.now();
  const names = state.compare ? [state.recommender, state.other] : [state.recommender];
  remember();
  showTaste();
  try {
    const lists = await Promise.all(names.map((name) => ask("v1/recommendations", wanted(name))));
    if (mine !== newest) return; // a later click has been answered or will be
    showLists(lists, performance.now() - started);
    trouble("");
  } catch (error) {
    if (mine === newest) trouble(error.message);
  }
}

// --- showing ----------------------------------------------------------------------------------------

function trouble(text) {
  $("trouble").hidden = !text;
  $("trouble").textContent = text;
}

function showTaste() {
  const chips = state.taste.map((one) => h("li", {},
    title(one.title),
    h("button", { type: "button", "aria-label": `Remove ${one.title}`, onclick: () => drop(one.item_id) }, "×")));
  $("taste").replaceChildren(...chips);
  $("no-taste").hidden = state.taste.length > 0;
  $("clear").disabled = !(state.taste.length || state.words || state.away.length || state.kinds.length);
}

function showLists(lists, milliseconds) {
  const [first, second] = lists;
  const begun = state.taste.length > 0 || Boolean(state.words);
  $("headline").textContent = state.words ? `“${state.words}”`
    : state.user ? `For user ${state.user}` : begun ? "For you" : "Tap a few you like";
  $("told").replaceChildren(...told(first, lists, milliseconds, begun));
  $("second").hidden = !second;
  $("one-title").className = second ? "column-title" : "unseen";
  $("one-title").textContent = second ? state.recommender : "The list";
  $("lists").classList.toggle("two", Boolean(second));
  $("list").classList.toggle("rows", Boolean(second));
  fill($("list"), first, second);
  if (second) {
    $("other-title").textContent = state.other;
    fill($("other-list"), second, first);
  }
  showKinds(first);
  $("more").hidden = !begun;
}

function told(first, lists, milliseconds, begun) {
  const parts = [];
  if (begun) parts.push(h("b", { class: `badge ${first.source}` }, first.source.replace("_", " ")), ` ${SOURCES[first.source]}`);
  else parts.push("The list answers every click. Nothing leaves this machine.");
  if (first.fallback) parts.push(` · ${first.fallback.replace("_", " ")}`);
  if (lists.length > 1) {
    const theirs = new Set(lists[1].items.map((one) => one.item_id));
    parts.push(` · ${first.items.filter((one) => theirs.has(one.item_id)).length} of ${first.items.length} in both lists`);
  }
  if (begun) parts.push(` · ${Math.max(1, Math.round(milliseconds))} ms`);
  if (!first.items.length) parts.push(" · nothing is left to recommend");
  return parts;
}

function fill(list, answer, against) {
  const before = new Map([...list.children].map((card) => [card.dataset.id, card]));
  const places = new Map([...before].map(([id, card]) => [id, card.getBoundingClientRect()]));
  const rank = against && new Map(against.items.map((one, at) => [one.item_id, at]));
  const cards = answer.items.map((one, at) => cardOf(one, at, rank));
  list.replaceChildren(...cards);
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

function cardOf(one, at, rank) {
  const chosen = state.taste.some((other) => other.item_id === one.item_id);
  const card = h("li", { class: "card", "data-id": one.item_id },
    h("div", { class: "face" },
      cover(one.item_id, categoriesOf(one)),
      h("span", { class: "rank", "aria-hidden": "true" }, String(at + 1)),
      title(one.title, "h3", { title: one.title })),
    h("div", { class: "about" },
      title(factsOf(one), "p", { class: "facts" }),
      title(upper(one.reason), "p", { class: "reason", title: one.reason })),
    rank && delta(rank.get(one.item_id), at),
    h("div", { class: "acts" },
      h("button", { type: "button", class: "like", "aria-label": `I like ${one.title}`, disabled: chosen, onclick: () => add(one) }, "Like"),
      h("button", { type: "button", "aria-label": `Why ${one.title}`, onclick: () => explain(one) }, "Why"),
      h("button", { type: "button", class: "away", "aria-label": `Hide ${one.title}`, onclick: () => putAway(one) }, "Hide")));
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
  const said = by === 0 ? "same place in both" : `${Math.abs(by)} places ${by > 0 ? "higher" : "lower"} than in the other list`;
  return h("span", { class: `delta ${by > 0 ? "up" : by < 0 ? "down" : ""}`, "aria-label": said, role: "img" }, text);
}

function light(id, on) {
  for (const card of document.querySelectorAll(".card")) if (card.dataset.id === id) card.classList.toggle("lit", on);
}

function showKinds(answer) {
  const counts = new Map(state.kinds.map((kind) => [kind, Infinity]));
  for (const one of answer.items) for (const kind of categoriesOf(one)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  const kinds = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 10).map(([kind]) => kind);
  $("kinds").replaceChildren(...kinds.map((kind) => {
    const on = state.kinds.includes(kind);
    const flip = () => { state.kinds = on ? state.kinds.filter((other) => other !== kind) : [...state.kinds, kind]; refresh(); };
    return h("li", {}, h("button", { type: "button", "aria-pressed": String(on), onclick: flip }, kind));
  }));
}

async function showPopular() {
  const popular = await ask(`v1/popular?${inRun({ k: 30, fields: fieldsNow().join(",") })}`);
  nameCategories(popular.items.flatMap(categoriesOf));
  $("popular").replaceChildren(...popular.items.map((one) => h("li", {},
    h("button", { type: "button", class: "mini", "aria-label": `I like ${one.title}`, onclick: () => add(one) },
      cover(one.item_id, categoriesOf(one)), title(one.title, "span", { class: "mini-title" })))));
}

// --- why --------------------------------------------------------------------------------------------

async function explain(one) {
  const sheet = $("why");
  try {
    const body = { item_id: one.item_id, ...whose(), run: state.run, recommender: state.recommender };
    const [why, alike] = await Promise.all([
      ask("v1/explanations", body),
      ask(`${item(one.item_id)}/similar?${inRun({ recommender: state.recommender, k: 6, fields: fieldsNow().join(",") })}`),
    ]);
    sheet.replaceChildren(...evidence(one, why, alike));
    if (!sheet.open) sheet.showModal();
    sheet.scrollTop = 0;
  } catch (error) {
    trouble(error.message);
  }
}

const METHODS = {
  exact: "the shares add up to the score.",
  occlusion: "each bar is how far the score falls without that title.",
  popularity: "no history to go by, so this is what everybody takes.",
  unknown: "this title is not in the catalogue.",
};

function evidence(one, why, alike) {
  const most = Math.max(...why.because.map((cause) => Math.abs(cause.share)), 1e-9);
  const bars = why.because.slice(0, 8).map((cause) => {
    const bar = h("i", { class: cause.share < 0 ? "against" : "" });
    bar.style.setProperty("--share", Math.abs(cause.share) / most);
    return h("li", {}, title(cause.title), h("span", { class: "bar", "aria-hidden": "true" }, bar), h("span", { class: "share" }, cause.share.toFixed(3)));
  });
  return [
    h("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => $("why").close() }, "×"),
    h("div", { class: "lead" }, cover(one.item_id, categoriesOf(one)),
      h("div", {}, title(one.title, "h2", { id: "why-title" }), title(factsOf(one), "p", { class: "facts" }),
        title(upper(why.reason), "p", { class: "reason" }),
        h("button", { type: "button", class: "like", onclick: () => { $("why").close(); add(one); } }, "Like"))),
    bars.length ? h("h3", {}, "Because you chose") : null,
    bars.length ? h("ul", { class: "bars" }, ...bars) : null,
    h("p", { class: "hint" }, `${why.recommender}: ${METHODS[why.method] ?? ""}`, why.fallback ? ` · ${why.fallback.replace("_", " ")}` : ""),
    why.words.length ? h("h3", {}, "Words in common") : null,
    why.words.length ? h("ul", { class: "words" }, ...why.words.slice(0, 12).map((word) => title(word, "li"))) : null,
    h("h3", {}, "Much like it"),
    h("ul", { class: "strip" }, ...alike.items.map((other) => h("li", {},
      h("button", { type: "button", class: "mini", "aria-label": `Why ${other.title}`, onclick: () => explain(other) },
        cover(other.item_id, categoriesOf(other)), title(other.title, "span", { class: "mini-title" }))))),
  ].filter(Boolean);
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

function putAway(one) {
  state.away = [...state.away, one.item_id];
  refresh();
}

function clear() {
  Object.assign(state, { taste: [], away: [], words: "", user: "", kinds: [] });
  $("words").value = $("user").value = "";
  refresh();
}

async function borrow(userId) {
  try {
    const user = await ask(`v1/users/${encodeURIComponent(userId)}?${inRun()}`);
    const liked = user.history.filter((one) => one.weight > 0);
    if (!liked.length) { trouble(`Nothing is known of user ${userId}.`); return; }
    state.taste = liked.slice(-1000).map(({ item_id, title: name }) => ({ item_id, title: name }));
    state.user = userId;
    refresh();
  } catch (error) {
    trouble(error.message);
  }
}

// --- finding titles, asking in words ----------------------------------------------------------------

let typed = 0;
async function search() {
  const text = $("words").value.trim(), mine = ++typed;
  if (!text) { closeFound(); return; }
  try {
    const found = await ask(`v1/items?${inRun({ search: text.slice(0, 500), k: 7 })}`);
    if (mine !== typed) return;
    const titles = found.items.map((one, at) => option(at, [
      cover(one.item_id, categoriesOf(one)), h("span", {}, title(one.title), title(factsOf(one), "small"))], () => add(one)));
    const inWords = runNow().takes_words || !titles.length ? [option(titles.length, [
      h("span", { class: "spark", "aria-hidden": "true" }, "✳"), h("span", {}, title(`Ask for “${text}”`), h("small", {}, "by meaning"))], () => askFor(text))] : [];
    $("found").replaceChildren(...titles, ...inWords);
    $("found").hidden = false;
    $("words").setAttribute("aria-expanded", "true");
    point(-1);
  } catch (error) {
    trouble(error.message);
  }
}

const option = (at, children, pick) => h("li", {
  role: "option", id: `found-${at}`, "aria-selected": "false",
  onpointerdown: (event) => { event.preventDefault(); closeFound(); $("words").value = ""; pick(); },
}, ...children);

function askFor(text) {
  state.words = text;
  closeFound();
  $("words").value = "";
  refresh();
}

function closeFound() {
  typed += 1;
  $("found").hidden = true;
  $("words").setAttribute("aria-expanded", "false");
  $("words").removeAttribute("aria-activedescendant");
}

function point(at) {
  const options = [...$("found").children];
  options.forEach((one, place) => one.setAttribute("aria-selected", String(place === at)));
  if (at >= 0) $("words").setAttribute("aria-activedescendant", options[at].id);
  else $("words").removeAttribute("aria-activedescendant");
}

function keys(event) {
  const options = [...$("found").children], at = options.findIndex((one) => one.getAttribute("aria-selected") === "true");
  if (event.key === "Escape") closeFound();
  else if (event.key === "ArrowDown" && options.length) { event.preventDefault(); point((at + 1) % options.length); }
  else if (event.key === "ArrowUp" && options.length) { event.preventDefault(); point((at - 1 + options.length) % options.length); }
  else if (event.key === "Enter") {
    event.preventDefault();
    if (at >= 0 && !$("found").hidden) options[at].dispatchEvent(new PointerEvent("pointerdown"));
    else if ($("words").value.trim()) askFor($("words").value.trim());
  }
}

// --- starting ---------------------------------------------------------------------------------------

function remember() { // so that a link shows what its sender saw
  const kept = {
    run: state.runs.length > 1 ? state.run : "", by: state.recommender, with: state.compare ? state.other : "",
    novelty: state.novelty || "", explore: state.explore || "", ask: state.words,
    user: state.user,
    taste: state.user || state.taste.length > 30 ? "" : JSON.stringify(state.taste.map((one) => one.item_id)),
  };
  const pairs = Object.entries(kept).filter(([, value]) => value !== "" && value !== "[]");
  history.replaceState(null, "", `#${new URLSearchParams(pairs)}`);
}

async function recall() {
  const kept = new URLSearchParams(location.hash.slice(1));
  if (state.runs.some((run) => run.run === kept.get("run"))) state.run = kept.get("run");
  const known = runNow().recommenders, named = (name) => (known.includes(kept.get(name)) ? kept.get(name) : "");
  state.recommender = named("by") || known[0];
  state.other = named("with") || known.find((name) => name !== state.recommender) || known[0];
  state.compare = Boolean(named("with"));
  state.novelty = Math.min(1, Math.max(0, Number(kept.get("novelty")) || 0));
  state.explore = Math.min(1, Math.max(0, Number(kept.get("explore")) || 0));
  state.words = (kept.get("ask") ?? "").slice(0, 1000);
  let ids = [];
  try { ids = JSON.parse(kept.get("taste") ?? "[]"); } catch { /* somebody's own link */ }
  const found = await Promise.all((Array.isArray(ids) ? ids.slice(0, 30) : []).map((id) => ask(`${item(String(id))}?${inRun()}`).catch(() => null)));
  state.taste = found.filter(Boolean).map(({ item_id, title: name }) => ({ item_id, title: name }));
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
  for (const dial of ["novelty", "explore"]) {
    $(dial).value = Math.round(state[dial] * 100);
    $(`${dial}-is`).textContent = state[dial] ? `${Math.round(state[dial] * 100)}%` : "off";
  }
  $("settings-are").textContent = state.recommender;
  const values = (runNow().leaderboard ?? []).find((one) => one.name === state.recommender)?.values ?? {};
  const metric = Object.keys(values).find((name) => name.startsWith("ndcg") && typeof values[name] === "number");
  const place = runNow().recommenders.indexOf(state.recommender) + 1;
  $("standing").textContent = `${place === 1 ? "The best" : `Place ${place}`} of ${runNow().recommenders.length} here${metric ? `, ${metric} ${values[metric].toFixed(3)}` : ""}.`;
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
  const known = await ask(`v1/users?${inRun({ k: 200 })}`);
  $("users").replaceChildren(...known.users.map((id) => h("option", { value: id })));
  await showPopular();
}

function listen() {
  const on = (id, event, act) => $(id).addEventListener(event, act);
  let later;
  on("words", "input", () => { clearTimeout(later); later = setTimeout(search, 120); });
  on("words", "keydown", keys);
  on("words", "blur", closeFound);
  on("words", "focus", () => { if ($("words").value) search(); });
  on("user", "change", () => { if ($("user").value.trim()) borrow($("user").value.trim()); });
  on("anybody", "click", () => {
    const known = [...$("users").children].map((one) => one.value);
    if (known.length) { $("user").value = known[Math.floor(Math.random() * known.length)]; borrow($("user").value); }
  });
  on("clear", "click", clear);
  on("run", "change", () => { state.run = $("run").value; changeRun(); });
  on("recommender", "change", () => { state.recommender = $("recommender").value; showChoices(); refresh(); });
  on("other", "change", () => { state.other = $("other").value; refresh(); });
  on("compare", "change", () => { state.compare = $("compare").checked; showChoices(); refresh(); });
  for (const dial of ["novelty", "explore"]) on(dial, "input", () => { state[dial] = $(dial).value / 100; showChoices(); refresh(); });
  on("why", "click", (event) => { if (event.target === $("why")) $("why").close(); });
  on("theme", "click", () => {
    const dark = getComputedStyle(document.documentElement).colorScheme === "dark";
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("theme", document.documentElement.dataset.theme);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/INPUT|SELECT|TEXTAREA/.test(event.target.tagName)) { event.preventDefault(); $("words").focus(); }
  });
}

async function start() {
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  listen();
  $("settings").open = matchMedia("(min-width: 761px)").matches;
  try {
    state.runs = (await ask("v1/runs")).runs;
    state.run = state.runs[0].run;
    const user = await recall();
    await showRun();
    if (user) await borrow(user);
    else await refresh();
  } catch (error) {
    trouble(error.message);
  }
  document.body.dataset.ready = "";
}

start();
