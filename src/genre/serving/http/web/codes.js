// The service's codes in words.

import { t } from "./language.js";

export const BADGES = {
  personal: t("Personal"), folded_in: t("Your choices"), content: t("By content"), popular: t("Popular"), together: t("Chosen together"),
};

export const SOURCES = {
  personal: t("from this user's whole history"),
  folded_in: t("from the titles you chose, computed now"),
  content: t("by what the titles are about"),
  popular: t("most popular titles"),
  together: t("by what others chose"),
};

/** The same in a table of lists, where a list may also be of items alike. */
export const SOURCES_SHORT = {
  personal: t("known users"), folded_in: t("other histories"), content: t("by content"), popular: t("popular items"),
  similar: t("similar items"), together: t("chosen together"),
};

export const METHODS = {
  exact: t("the shares add up to the score."),
  occlusion: t("each bar is how far the score falls without that title."),
  popularity: t("there is no history, so the most popular titles are shown."),
  unknown: t("this title is not in the catalogue."),
};

const STAGES = {
  rerank: t("the second stage"), model: t("the recommender"), content: t("the recommender by content"),
  words: t("the search by description"), store: t("the event log"),
};
const OUTCOMES = { late: t("took too long"), failed: t("failed"), paused: t("is paused, having failed"), unavailable: t("needs a text encoder") };

/** Why a fallback answered, such as `model_late`. */
export const fallback = (code) => {
  const [stage, outcome] = code.split("_");
  return STAGES[stage] && OUTCOMES[outcome] ? t("{} {}", STAGES[stage], OUTCOMES[outcome]) : code.replaceAll("_", " ");
};

/** A stage that does not answer, such as `store` or `movies/ease`. */
export const stage = (name) => STAGES[name] ?? name;
