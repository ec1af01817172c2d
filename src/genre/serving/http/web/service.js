// Requests to the service. Knows nothing of what is on the page.

import { trouble } from "./details.js";
import { t } from "./language.js";

/** Send a request with options of `fetch`; the error of an answer that is none has its `status`. */
export async function send(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error(t("The service does not answer."));
  }
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(trouble(found)), { status: answer.status });
  return found;
}

/** Send a request; a body makes it a POST. keepalive: it is finished also when the page is left. */
export async function request(path, body, { keepalive = false } = {}) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), keepalive,
  };
  const found = await send(path, options);
  for (const one of [found.items, found.history, found.because].flat()) if (one && !one.title.trim()) one.title = one.item_id;
  return found;
}

export const itemPath = (id) => `v1/items/${encodeURIComponent(id)}`;
export const query = (values) => new URLSearchParams(Object.entries(values).filter(([, value]) => value !== "" && value != null));
