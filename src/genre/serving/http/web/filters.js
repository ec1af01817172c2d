// The filters of the side: a choice for each field of categories or names, two bounds for each field of numbers.

import { h } from "./dom.js";
import { t } from "./language.js";

const MOST = 8; // fields
const FIRST = ["price", "genre", "maker", "rating", "day", "duration", "age", "available", "language"];

/** The fields that are offered, most useful first: those about days only as years, as the service compares numbers. */
export function offered(filters) {
  const place = (one) => { const at = FIRST.indexOf(one.about); return at < 0 ? FIRST.length : at; };
  return filters.map(asYears).filter((one) => one && (one.values ? Object.keys(one.values).length > 1 : one.min < one.max) && !["person", "count"].includes(one.about))
    .sort((a, b) => place(a) - place(b)).slice(0, MOST);
}

const asYears = (one) => {
  if (one.kind !== "day") return one;
  return /year/i.test(one.field) ? { ...one, min: Number(one.min.slice(0, 4)), max: Number(one.max.slice(0, 4)) } : null;
};

/** A control for each field. chosen: field to a list of values or {min, max}; change: called with a field and its choice. */
export function filterControls(fields, chosen, change) {
  return fields.map((one) => (one.values ? choice(one, chosen[one.field] ?? [], change) : bounds(one, chosen[one.field] ?? {}, change)));
}

const label = (name) => name.replaceAll("_", " ");

function choice(one, values, change) {
  const known = Object.entries(one.values), only = values.length === 1 ? values[0] : "";
  const missing = only && !(only in one.values) ? [h("option", { value: only }, only)] : [];
  const select = h("select", { onchange: () => change(one.field, select.value ? [select.value] : null) },
    h("option", { value: "" }, values.length > 1 ? t("Several") : t("All")), ...missing,
    ...known.map(([value, count]) => h("option", { value }, `${value} (${count.toLocaleString()})`)));
  select.value = only;
  return h("label", { class: "field", "data-field": one.field }, h("span", {}, label(one.field)), select);
}

function bounds(one, range, change) {
  const input = (end, name) => h("input", {
    type: "number", step: "any", inputmode: "decimal", "aria-label": t(name, label(one.field)), placeholder: String(one[end]),
    value: range[end] ?? null, onchange: () => {
      const made = {};
      for (const [key, box] of [["min", low], ["max", high]]) if (box.value !== "" && Number.isFinite(box.valueAsNumber)) made[key] = box.valueAsNumber;
      change(one.field, Object.keys(made).length ? made : null);
    },
  });
  const low = input("min", "{} from"), high = input("max", "{} to");
  return h("div", { class: "field", role: "group", "aria-label": label(one.field), "data-field": one.field },
    h("span", {}, label(one.field)), h("span", { class: "between" }, low, h("span", { "aria-hidden": "true" }, "–"), high));
}

/** Filters as they come from an address: only what the service would take. */
export function readFilters(text) {
  let given;
  try { given = JSON.parse(text || "{}"); } catch { return {}; }
  if (typeof given !== "object" || given === null || Array.isArray(given)) return {};
  const made = {};
  for (const [field, value] of Object.entries(given).slice(0, 20)) {
    if (Array.isArray(value)) {
      const values = value.filter((one) => typeof one === "string" && one).slice(0, 20);
      if (values.length) made[field] = values;
    } else if (typeof value === "object" && value !== null) {
      const range = Object.fromEntries(["min", "max"].filter((end) => Number.isFinite(value[end])).map((end) => [end, value[end]]));
      if (Object.keys(range).length) made[field] = range;
    }
  }
  return made;
}
