// What the service says of a request that failed, in the language of the page. Details that no template knows follow
// the sentence of their code as they are.

import { language, t } from "./language.js";

const TROUBLES = { // by the code of an answer that is no success
  busy: "Too many requests; wait a moment.", too_many_requests: "Too many requests; wait a moment.",
  not_ready: "The service is not ready yet.", store_unavailable: "The event log does not answer.", unauthorized: "This needs a key.", forbidden: "The key is for something else.",
  not_legal: "The request is not legal.", bad_request: "The request is not legal.", headers_too_large: "The request is too large.", too_large: "The request is too large.",
  not_found: "There is no such thing.", method_not_allowed: "The request is not legal.", conflict: "This contradicts what there is.",
  wrong_host: "The service does not answer to this name.", foreign_origin: "Another page may change nothing here.", internal: "The service could not answer.",
};

const DETAILS = [ // English of the service, Chinese; {} is what varies, in both in the same order
  ["send the key: Authorization: Bearer {}", "请发送密钥：Authorization: Bearer {}"],
  ["this key is for {}; this needs one for {}", "此密钥的权限是 {}，这里需要 {}"],
  ["without a key the service answers to the name of this machine only", "没有密钥时，服务只应答本机的名称"],
  ["a page of another origin may change nothing; let it in by --allow-origin", "其他来源的页面不能修改任何内容；可用 --allow-origin 放行"],
  ["too many requests at once; try again", "同时的请求过多，请重试"],
  ["more than {} requests a second", "每秒超过 {} 个请求"],
  ["a body may have {} bytes", "请求体最多 {} 字节"],
  ["no answer from {}", "{} 没有应答"],
  ["Method Not Allowed", "不能这样使用这个地址"], ["Not Found", "没有这个地址"],
  ["warming up", "正在预热"],
  ["the event log cannot be used now; nothing was recorded", "事件日志目前不可用；没有记录任何内容"],
  ["the event log did not answer in time: this may or may not have been recorded; send it again with the same event_id, so that it is counted once",
    "事件日志没有及时应答：可能已记录，也可能没有；请用同一个 event_id 再发一次，只会计一次"],
  ["an error of the service; its log says more", "服务出错；详情见其日志"],
  ["no run {}; served: {}", "没有运行 {}；正在提供：{}"],
  ["run {} has no recommender {}; it has {}", "运行 {} 没有推荐方法 {}；它有 {}"],
  ["no item {} in run {}", "没有条目 {}，运行是 {}"],
  ["run {} has no report", "运行 {} 没有报告"],
  ["the report of run {} shows a deleted user; refresh the run", "运行 {} 的报告中有已删除的用户；请刷新该运行"],
  ["the query is empty; say in a few words what it should be", "描述是空的；请用几个词说明想要什么"],
  ["queries in words need item features; name an encoder of items under `features`", "文字描述需要条目特征；请在 `features` 下指定条目的编码器"],
  ["{}: items have no field {}; fields: {}", "{}：条目没有字段 {}；字段有：{}"],
  ["{}: no such parameter; there are {}", "{}：没有这个参数；有 {}"],
  ["{}: is missing", "{}：缺少"],
  ["{}: nothing of this name is known", "{}：没有这个名称"],
  ["{}: a JSON object is wanted", "{}：应为 JSON 对象"],
  ["{}: is in the future; give seconds since 1970", "{}：在将来；请给出自 1970 年以来的秒数"],
  ["{}: Input should be greater than or equal to {}", "{}：应不小于 {}"],
  ["{}: Input should be less than or equal to {}", "{}：应不大于 {}"],
  ["{}: Input should be greater than {}", "{}：应大于 {}"],
  ["{}: Input should be less than {}", "{}：应小于 {}"],
  ["{}: Input should be a valid {}, unable to parse string as a {}", "{}：类型应为 {}，无法读作 {}"],
  ["{}: Input should be a valid {}, unable to parse string as an {}", "{}：类型应为 {}，无法读作 {}"],
  ["{}: Input should be a valid {}", "{}：类型应为 {}"],
  ["{}: Input should be {}", "{}：应为 {}"],
  ["{}: List should have at most {} characters, not {}", "{}：最多 {} 个字符，现为 {}"],
  ["{}: List should have at most {} items, not {}", "{}：最多 {} 项，现为 {}"],
  ["{}: String should have at most {} characters", "{}：最多 {} 个字符"],
  ["{}: String should have at least {} character", "{}：至少 {} 个字符"],
  ["experiment {} has ended; a new one needs a new name", "实验 {} 已结束；新的实验需要新名称"],
  ["no experiment {}; there are none; start one", "没有实验 {}；目前没有实验，请启动一个"],
  ["no experiment {}; there are {}", "没有实验 {}；现有 {}"],
  ["no arm is to be promoted ({}); name an arm to promote it all the same", "没有可采用的组（{}）；指定一个组仍可采用它"],
  ["experiment {} compares {} with {}, not {}", "实验 {} 的各组是 {}，对照 {}，没有 {}"],
  ["experiment {}: its arm {} is not served; served: {}; give `genre serve` the folder of every arm", "实验 {}：没有提供组 {}；正在提供：{}；请把各组的文件夹都交给 `genre serve`"],
  // verdicts of experiments
  ["{} is more frequent than in {}", "{} 比 {} 中更多"],
  ["{} is less frequent than in {}", "{} 比 {} 中更少"],
  ["it has ended without a difference that chance would not explain", "已结束，差异可由偶然解释"],
  ["no difference yet that is more than chance", "尚无超出偶然的差异"],
  ["users were not assigned as was meant (sample-ratio mismatch): believe no number here", "用户分配与设定不符（样本比例不符）：请勿相信这里的数字"],
  ["guardrail: {} of lists by a fallback, {} in {}", "护栏：{} 的列表由后备步骤生成，对照为 {}（{}）"],
  ["guardrail: {} of lists are empty, {} in {}", "护栏：{} 的列表为空，对照为 {}（{}）"],
  ["guardrail: a list takes {} ms, {} in {}", "护栏：一个列表用时 {} 毫秒，对照为 {}（{}）"],
  ["guardrail: {} different items in the newest lists, {} in {}", "护栏：最新列表中有 {} 个不同条目，对照为 {}（{}）"],
  // records of refreshes
  ["few users push items into the lists: {}", "少数用户把条目推入列表：{}"],
  ["it is worse than the run that is served, or may be", "它比正在提供的运行差，或可能更差"],
  ["not checked, since the split holds out no newest interactions", "未检查，因为划分没有留出最新的交互"],
  ["not checked, since no user has a newest interaction to find", "未检查，因为没有用户有可预测的最新交互"],
  ["new from the event log: {}; left out: {}", "事件日志中新增：{}；排除：{}"],
  ["new from the event log: {}", "事件日志中新增：{}"],
  ["fields of items", "条目的字段"],
  ["{} interaction", "{} 次交互"], ["{} interactions", "{} 次交互"], ["{} deleted user", "{} 位已删除的用户"], ["{} deleted users", "{} 位已删除的用户"],
  ["{} user", "{} 位用户"], ["{} users", "{} 位用户"], ["{} item", "{} 个条目"], ["{} items", "{} 个条目"],
  ["{} different items in the lists, {} before", "列表中有 {} 个不同条目，此前为 {}"],
  ["ndcg@{} on the newest interactions, {}", "最新交互上的 ndcg@{}，{}"],
  ["{}: {} against {} (95 % interval {} to {}), margin {}; {} users, {} are needed to tell", "{}：{}，对照 {}（95 % 区间 {} 至 {}），界限 {}；{} 位用户，需要 {} 位才能判断"],
  ["too few interactions to tell", "交互太少，无法判断"], ["not worse", "不更差"], ["worse", "更差"],
].map(([english, chinese]) => ({ pattern: new RegExp(`^${english.split("{}").map(literal).join("([^]+?)")}$`), chinese }));

function literal(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** A message of the service in Chinese, as far as a template knows it; null where none does. */
function inChinese(text) {
  const near = text.replace(/ \(did you mean [^]*?\?\)/g, ""); // the list of what there is comes behind it
  const found = DETAILS.map(({ pattern, chinese }) => [pattern.exec(near), chinese]).find(([match]) => match);
  if (!found) {
    const parts = text.split("; "); // several fields of one request
    const each = parts.length > 1 ? parts.map(inChinese) : [null];
    return each.includes(null) ? null : each.join("；");
  }
  const [[, ...values], chinese] = found;
  return chinese.split("{}").map((part, at) => part + (at < values.length ? inside(values[at]) : "")).join("");
}

/** What stands in a message: itself a message, a list of them, or a name or number that stays as it is. */
function inside(value) {
  const each = value.split(", ").map(inChinese);
  return each.includes(null) ? inChinese(value) ?? value : each.join("，");
}

/** A message of the service in the language of the page. */
export const said = (text) => (language === "zh" ? inChinese(text) ?? text : text);

/** What an answer that is no success says. found: its JSON. */
export function trouble({ error, detail }) {
  if (language === "en") return detail || t("The service could not answer.");
  const sentence = t(TROUBLES[error] ?? "The service could not answer.");
  return detail ? `${sentence}${inChinese(detail) ?? detail}` : sentence;
}
