// What the service's codes mean, in words.

export const SOURCES = {
  personal: "as the recommender learnt this user",
  folded_in: "scored from this history, nothing retrained",
  content: "by what the items are about",
  popular: "what everybody takes",
};

export const METHODS = {
  exact: "the shares add up to the score.",
  occlusion: "each bar is how far the score falls without that title.",
  popularity: "no history to go by, so this is what everybody takes.",
  unknown: "this title is not in the catalogue.",
};

const STAGES = {
  rerank: "the second stage", model: "the recommender", content: "the recommender by content",
  words: "asking in words", store: "the log of events",
};
const OUTCOMES = { late: "took too long", failed: "failed", paused: "is paused, having failed", unavailable: "needs a text encoder" };

/** Why an answer comes from further down than it should: `model_late`. */
export const fallback = (code) => {
  const [stage, outcome] = code.split("_");
  return STAGES[stage] && OUTCOMES[outcome] ? `${STAGES[stage]} ${OUTCOMES[outcome]}` : code.replaceAll("_", " ");
};
