// Building the page. Text from the service becomes text on it, never markup.

export const $ = (id) => document.getElementById(id);

/** An element; attributes that begin with `on` are listeners, true stands for one without a value. */
export function h(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child != null && child !== ""));
  return made;
}

const calm = (text) => String(text).replace(/[\u202a-\u202e\u2066-\u2069]/g, ""); // marks that turn the text around them

/** Text that may run either way. */
export const title = (text, tag = "span", attributes = {}) => h(tag, { dir: "auto", ...attributes }, calm(text));

export const upper = (text) => text.charAt(0).toUpperCase() + text.slice(1);

const controls = (row) => [...row.querySelectorAll("button")];

/** Other rows in a list. The keyboard stays on its control, or on the same one of the row that took the place. */
export function replace(list, rows) {
  const held = list.contains(document.activeElement) ? document.activeElement.closest("[data-id]") : null;
  const at = held ? [...list.children].indexOf(held) : -1;
  const which = held ? controls(held).indexOf(document.activeElement) : -1;
  list.replaceChildren(...rows);
  if (at < 0) return;
  const row = rows.find((one) => one.dataset.id === held.dataset.id) ?? rows[Math.min(at, rows.length - 1)];
  const open = row ? controls(row) : [];
  (open[which] && !open[which].disabled ? open[which] : open.find((one) => !one.disabled) ?? $("list")).focus();
}
