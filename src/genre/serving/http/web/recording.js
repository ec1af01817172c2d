// The switch that records clicks: as which user, and the events. It holds in this tab until it is off or the tab closed.

import { request } from "./service.js";

const KEY = "recording";

/** The user whose clicks are recorded; empty while the switch is off. */
export const recordAs = () => sessionStorage.getItem(KEY) ?? "";

export const isRecording = () => recordAs() !== "";

/** Record from now on as this user; without one, as a new visitor. */
export function startRecording(user) {
  const random = [...crypto.getRandomValues(new Uint8Array(5))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  sessionStorage.setItem(KEY, user || `visitor-${random}`);
}

export const stopRecording = () => sessionStorage.removeItem(KEY);

/** Record an event of this kind; it names the list that led to it where the item is on that. */
export async function record(kind, one, list, options = {}) {
  if (!isRecording()) return;
  const position = (list?.items ?? []).findIndex((other) => other.item_id === one.item_id) + 1;
  const cause = position ? { recommendation_id: list.recommendation_id, position } : {};
  await request("v1/events", { user_id: recordAs(), item_id: one.item_id, kind, ...cause }, options);
}
