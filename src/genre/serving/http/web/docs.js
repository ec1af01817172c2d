// The routes of the service, from its own description (openapi.json): what each takes and answers, and a call to copy.

import { $, h, title } from "./dom.js";
import { listenToTheme, t, translatePage } from "./language.js";
import { request } from "./service.js";

let schemas = {};
const resolve = (schema = {}) => (schema.$ref ? schemas[schema.$ref.split("/").at(-1)] ?? {} : schema);

/** The type of a value, in a few words. */
function typeOf(schema = {}) {
  const one = resolve(schema);
  const choices = one.anyOf ?? one.oneOf;
  if (choices) return [...new Set(choices.map(typeOf))].filter((name) => name !== "null").join(" or ");
  if (one.enum) return one.enum.join(" or ");
  if ("const" in one) return String(one.const);
  if (one.type === "array") return `list of ${typeOf(one.items)}`;
  const ends = [one.minimum, one.maximum].every((end) => end !== undefined) ? `, ${one.minimum} to ${one.maximum}` : "";
  return `${schema.$ref ? one.title ?? one.type : one.type ?? "any"}${ends}`;
}

/** The schema of an object among alternatives: a body may be one event or a list of them. */
function objectIn(schema) {
  const one = resolve(schema);
  if (one.properties) return one;
  return [...(one.anyOf ?? one.oneOf ?? []), one.items].filter(Boolean).map(objectIn).find(Boolean);
}

function fields(rows) {
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": t("Fields") }, h("table", {},
    h("thead", {}, h("tr", {}, ...["Name", "Type", "Default", "Meaning"].map((name) => h("th", { scope: "col" }, t(name))))),
    h("tbody", {}, ...rows.map(({ name, schema, required, place }) => h("tr", {},
      h("td", {}, h("code", {}, name), place === "path" ? h("small", {}, "path") : ""),
      h("td", {}, typeOf(schema)),
      h("td", {}, required ? t("required") : schema.default == null || typeof schema.default === "object" ? "" : String(schema.default)),
      h("td", {}, schema.description ?? resolve(schema).description ?? ""))))));
}

const fieldsOf = (object) => Object.entries(object.properties).map(([name, schema]) => ({ name, schema, required: object.required?.includes(name) }));

/** A call with curl; what has to be given stands in capitals. */
function example(method, path, body) {
  const filled = path.replaceAll(/\{(\w+)(:\w+)?\}/g, (_, name) => name.toUpperCase());
  const parts = [`curl${method === "get" ? "" : ` -X ${method.toUpperCase()}`} '${location.origin}${filled}'`];
  if (body) {
    const needed = fieldsOf(body).filter((one) => one.required).map((one) => [one.name, one.name.toUpperCase()]);
    parts.push("-H 'content-type: application/json'", `-d '${JSON.stringify(Object.fromEntries(needed))}'`);
  }
  return parts.join(" \\\n  ");
}

function route(path, method, found, at) {
  const body = found.requestBody && objectIn(Object.values(found.requestBody.content)[0].schema);
  const given = (found.parameters ?? []).map((one) => ({ name: one.name, schema: { description: one.description, ...one.schema }, required: one.required, place: one.in }));
  const ok = Object.entries(found.responses ?? {}).find(([status]) => status.startsWith("2"))?.[1];
  const answer = ok?.content?.["application/json"] && objectIn(ok.content["application/json"].schema);
  const id = `route-${at}`;
  $("contents").append(h("li", {}, h("a", { href: `#${id}` }, h("code", {}, `${method.toUpperCase()} ${path}`))));
  return h("section", { id, "aria-labelledby": `${id}-name` },
    h("h2", { id: `${id}-name` }, h("span", { class: "badge" }, method.toUpperCase()), " ", h("code", {}, path)),
    title(found.description ?? found.summary ?? "", "p"),
    ...(given.length ? [h("h3", {}, t("Parameters")), fields(given)] : []),
    ...(body ? [h("h3", {}, t("Body")), fields(fieldsOf(body))] : []),
    ...(answer ? [h("h3", {}, t("Answer")), fields(fieldsOf(answer))] : []),
    h("pre", { tabindex: "0", role: "group", "aria-label": t("Example") }, example(method, path, body)));
}

async function start() {
  translatePage();
  listenToTheme();
  try {
    const found = await request("openapi.json");
    schemas = found.components?.schemas ?? {};
    const routes = Object.entries(found.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, one]) => [path, method, one]));
    $("routes").replaceChildren(...routes.map(([path, method, one], at) => route(path, method, one, at)));
  } catch (error) {
    $("trouble").hidden = false;
    $("trouble-text").textContent = error.message;
  }
  document.body.dataset.ready = "";
}

start();
