// The service's codes in words.

export const BADGES = { personal: "Personal", folded_in: "Your choices", content: "By content", popular: "Popular" };

export const SOURCES = {
  personal: "as the recommender knows this user",
  folded_in: "computed now, from the titles you chose",
  content: "by what the titles are about",
  popular: "most popular titles",
};

export const METHODS = {
  exact: "the shares add up to the score.",
  occlusion: "each bar is how far the score falls without that title.",
  popularity: "there is no history, so the most popular titles are shown.",
  unknown: "this title is not in the catalogue.",
};

const STAGES = {
  rerank: "the second stage", model: "the recommender", content: "the recommender by content",
  words: "the search by description", store: "the event log",
};
const OUTCOMES = { late: "took too long", failed: "failed", paused: "is paused, having failed", unavailable: "needs a text encoder" };

/** Why a fallback answered, such as `model_late`. */
export const fallback = (code) => {
  const [stage, outcome] = code.split("_");
  return STAGES[stage] && OUTCOMES[outcome] ? `${STAGES[stage]} ${OUTCOMES[outcome]}` : code.replaceAll("_", " ");
};
