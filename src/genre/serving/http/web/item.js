// The page of one item: its fields, similar items, and those that the same users have.

import { art } from "./covers.js";
import { $, h, title } from "./dom.js";
import { categoriesOf, chooseFields, factsOf, fieldsToAnswer, mini, pageOf } from "./items.js";
import { language, listenToTheme, t, translatePage } from "./language.js";
import { record } from "./recording.js";
import { itemPath, query, request } from "./service.js";

const K = 12;
const link = new URLSearchParams(location.search), id = link.get("id") ?? "", run = link.get("run") ?? "";
const state = location.hash.slice(1);

const label = (name) => name.replaceAll("_", " ");
const text = (value) => (Array.isArray(value) ? value.join(", ") : typeof value === "number" ? value.toLocaleString(document.documentElement.lang) : String(value));

function show(one, similar, together) {
  document.title = `${one.title} · GENRE`;
  const like = () => {
    record("like", one, null).catch(() => {}).finally(() => { location.href = `./#${query({ like: one.item_id })}${state && `&${state}`}`; });
  };
  $("lead").replaceChildren(art(one, categoriesOf(one)),
    h("div", {}, title(one.title, "h1"), title(factsOf(one), "p", { class: "facts" }),
      h("button", { type: "button", class: "like", onclick: like }, t("Like"))));
  const strip = (where, list) => {
    $(where).replaceChildren(...list.items.map((other) => mini(other, t("Open the page of {}", other.title), pageOf(other.item_id, run, state))));
  };
  strip("similar", similar);
  strip("together", together);
  $("alone").hidden = together.items.length > 0;
  const rows = Object.entries(one.fields).filter(([name, value]) => name !== "title" && value !== "");
  $("fields").replaceChildren(...rows.flatMap(([name, value]) => [h("dt", {}, label(name)), title(text(value), "dd")]));
  $("known").hidden = rows.length === 0;
}

async function start() {
  translatePage();
  listenToTheme();
  $("back").href = `./#${state}`;
  try {
    const [{ runs }, { filters }, one] = await Promise.all([
      request("v1/runs"), request(`v1/filters?${query({ run })}`), request(`${itemPath(id)}?${query({ run })}`)]);
    if (!one.title.trim()) one.title = one.item_id;
    chooseFields((runs.find((other) => other.run === run) ?? runs[0]).fields, filters);
    const options = { run, k: K, fields: fieldsToAnswer().join(","), record: false, language };
    const lists = [{}, { together: true }].map((more) => request(`${itemPath(id)}/similar?${query({ ...options, ...more })}`));
    show(one, ...await Promise.all(lists));
  } catch (error) {
    $("trouble").hidden = false;
    $("trouble-text").textContent = error.status === 404 ? t("The service has no item {}.", id) : error.message;
    $("about").hidden = true;
  }
  document.body.dataset.ready = "";
}

start();
