// Requests to the service. Knows nothing of what is on the page.

import { language, t } from "./language.js";

const TROUBLES = { // by the code of an answer that is no success
  busy: "Too many requests; wait a moment.", too_many_requests: "Too many requests; wait a moment.",
  not_ready: "The service is not ready yet.", store_unavailable: "The event log does not answer.", unauthorized: "This needs a key.", forbidden: "The key is for something else.",
};

/** Send a request; a body makes it a POST. keepalive: it is finished also when the page is left. */
export async function request(path, body, { keepalive = false } = {}) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), keepalive,
  };
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error(t("The service does not answer."));
  }
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const said = language === "en" ? found.detail : [TROUBLES[found.error] && t(TROUBLES[found.error]), found.detail].filter(Boolean).join(" ");
    throw Object.assign(new Error(said || t("The service could not answer.")), { status: answer.status });
  }
  for (const one of [found.items, found.history, found.because].flat()) if (one && !one.title.trim()) one.title = one.item_id;
  return found;
}

export const itemPath = (id) => `v1/items/${encodeURIComponent(id)}`;
export const query = (values) => new URLSearchParams(Object.entries(values).filter(([, value]) => value !== "" && value != null));
