// What the page shows of an item: its categories, a line of facts, a small cover to press.

import { art, nameCategories } from "./covers.js";
import { h, title } from "./dom.js";
import { query } from "./service.js";

const CATEGORIES = ["genres", "genre", "categories", "category", "tags", "topics", "topic", "department"];
const FACTS = ["year", "artist", "author", "brand", "director", "price"];
const ABOUT = ["maker", "price"]; // what a field may be about to be a fact, whatever it is called

/** The fields that are shown, of those that the run has. */
export const shown = { category: "", facts: [] };

/** Choose the fields to show. known: names of all fields; filters: what the service says of those that filter. */
export function chooseFields(known, filters) {
  const named = (names) => names.find((name) => known.includes(name));
  const categories = filters.filter((one) => one.kind === "category");
  shown.category = named(CATEGORIES) ?? (categories.find((one) => one.about === "genre") ?? categories[0])?.field ?? "";
  const more = filters.filter((one) => ABOUT.includes(one.about)).map((one) => one.field);
  shown.facts = [...new Set([...FACTS.filter((name) => known.includes(name)), ...more])].filter((name) => name !== shown.category);
  nameCategories(Object.keys(filters.find((one) => one.field === shown.category)?.values ?? {}));
}

export const fieldsToAnswer = () => [shown.category, ...shown.facts].filter(Boolean);

export const partsOf = (value) => (Array.isArray(value) ? value : String(value).split(/[|,;]/)).map((part) => String(part).trim()).filter(Boolean);

export const categoriesOf = (item) => {
  const value = item.fields?.[shown.category];
  return value == null ? [] : partsOf(value);
};

export const factsOf = (item) => {
  const facts = shown.facts.map((field) => item.fields?.[field]).filter((fact) => fact != null && !item.title.includes(`(${fact})`));
  return [...facts, ...categoriesOf(item).slice(0, 3)].join(" · ");
};

/** A small cover with its title. act: called when it is pressed, or the address that it leads to. */
export const mini = (one, label, act) => {
  const link = typeof act === "string" ? ["a", { href: act }] : ["button", { type: "button", onclick: act }];
  return h("li", { "data-id": one.item_id },
    h(link[0], { ...link[1], class: "mini", "aria-label": label }, art(one, categoriesOf(one)), title(one.title, "span", { class: "mini-title" })));
};

/** The address of an item's page; what the list was made of goes along behind the #, for the way back. */
export const pageOf = (id, run, state) => `item.html?${query({ id, run })}#${state}`;
