// The page in English or Chinese. English is what the code holds; the table has the Chinese for each text of it.

const CHINESE = {
  "Recommendations that change with every click, each with its reason.": "随每次点击而变的推荐，每条都有理由。",
  "Skip to the recommendations": "跳到推荐列表",
  "Search, or describe what you want": "搜索，或描述您想要的",
  "Titles found": "找到的条目",
  "About this run": "关于本次运行",
  Report: "报告",
  API: "API",
  "Change between light and dark": "切换浅色与深色",
  "Language": "语言",
  "Taste and settings": "偏好与设置",
  "Your taste": "您的偏好",
  "Chosen titles": "已选条目",
  "Nothing yet. Choose a few things you like, or load the history of a user.": "还没有。选几个喜欢的，或载入一位用户的历史。",
  "Load a user": "载入用户",
  "Random user": "随机用户",
  Clear: "清空",
  "Record my clicks": "记录我的点击",
  "Off: nothing is stored. On: likes, hides and clicks go to the service, and the list follows at once.":
    "关闭：不保存任何内容。打开：喜欢、隐藏和点击会发送到服务，列表立即随之变化。",
  "Stored as user {}. Every click goes to the service, and the list follows at once.": "以用户 {} 保存。每次点击都会发送到服务，列表立即随之变化。",
  "This key may not record events.": "此密钥不能记录事件。",
  Filters: "筛选",
  "Remove all filters": "移除所有筛选",
  All: "全部",
  Several: "多个",
  "{} from": "{} 从",
  "{} to": "{} 到",
  Settings: "设置",
  Run: "运行",
  Recommender: "推荐方法",
  Novelty: "新颖度",
  Diversity: "多样性",
  off: "关",
  "well known": "广为人知",
  "little known": "鲜为人知",
  "more of the same": "更相似",
  "more variety": "更多样",
  "Compare recommenders": "比较推荐方法",
  "The other recommender": "另一种推荐方法",
  "The list": "列表",
  "Only these": "只看这些",
  "More to choose from": "更多选择",
  "Popular titles": "热门条目",
  Dismiss: "关闭提示",
  "Choose a few you like": "选几个喜欢的",
  "For you": "为您推荐",
  "For user {}": "为用户 {} 推荐",
  "Remove {}": "移除 {}",
  "“{}”": "“{}”",
  "Show the hidden title again": "重新显示隐藏的条目",
  "Show {} hidden titles again": "重新显示 {} 个隐藏的条目",
  "by your words": "按您的描述",
  "by your words and your taste": "按您的描述和偏好",
  "Popular titles, until you choose some. The list changes with every click; nothing is recorded.":
    "选择之前显示热门条目。列表随每次点击变化；不记录任何内容。",
  "Popular titles, until you choose some. The list changes with every click; clicks are recorded.":
    "选择之前显示热门条目。列表随每次点击变化；点击会被记录。",
  "{} of {} in both lists": "两个列表有 {}/{} 个相同",
  "{} ms": "{} 毫秒",
  "recorded and answered in {} ms": "{} 毫秒内完成记录和更新",
  "Nothing is left to recommend.": "没有可推荐的了。",
  "Nothing is left to recommend. Remove a filter, or show the hidden titles.": "没有可推荐的了。请移除筛选，或重新显示隐藏的条目。",
  "I like {}": "喜欢 {}",
  "Why {}": "为什么推荐 {}",
  "Hide {}": "隐藏 {}",
  Like: "喜欢",
  Why: "为什么",
  Hide: "隐藏",
  "only here": "仅此列表",
  "same place": "同一位置",
  "same place in both": "两个列表位置相同",
  "{} places higher than in the other list": "比另一列表高 {} 位",
  "{} places lower than in the other list": "比另一列表低 {} 位",
  "User {} has no history.": "用户 {} 没有历史记录。",
  "Recent events are missing: the event log does not answer.": "缺少最近的事件：事件日志没有响应。",
  "First of {} by validation": "验证集上在 {} 种中排第一",
  "Number {} of {} by validation": "验证集上排第 {}，共 {} 种",
  "{}, {} {} in the test": "{}，测试中 {} 为 {}",
  "{}.": "{}。",
  "Titles like “{}”": "与“{}”相似的条目",
  "by meaning": "按含义",
  // codes of the service
  Personal: "个人",
  "Your choices": "您的选择",
  "By content": "按内容",
  Popular: "热门",
  "Chosen together": "一起被选",
  "from this user's whole history": "根据该用户的全部历史",
  "from the titles you chose, computed now": "根据您所选的条目即时计算",
  "by what the titles are about": "按条目的内容",
  "most popular titles": "最热门的条目",
  "by what others chose": "按其他人的选择",
  "the shares add up to the score.": "各部分相加即为得分。",
  "each bar is how far the score falls without that title.": "每条表示去掉该条目后得分下降多少。",
  "there is no history, so the most popular titles are shown.": "没有历史记录，因此显示最热门的条目。",
  "this title is not in the catalogue.": "该条目不在目录中。",
  "the second stage": "第二阶段",
  "the recommender": "推荐方法",
  "the recommender by content": "按内容的推荐方法",
  "the search by description": "按描述的搜索",
  "the event log": "事件日志",
  "took too long": "超时",
  failed: "失败",
  "is paused, having failed": "因失败而暂停",
  "needs a text encoder": "需要文本编码器",
  "{} {}": "{}{}",
  // evidence
  "Your words": "您的描述",
  Popularity: "热门程度",
  Profile: "画像",
  "Invented next item": "设想的下一项",
  "Order by a language model": "语言模型的排序",
  "After the newest items": "紧接最近的条目",
  "Same people": "相同的人",
  Texts: "文字",
  "Lists it is on": "所在的列表",
  "Not a candidate": "不是候选",
  "{} more": "另外 {} 个",
  "Score by {}": "{} 的得分",
  Score: "得分",
  Close: "关闭",
  "Because you chose": "因为您选了",
  "Parts of the score": "得分的组成",
  "Words in common": "共同的词",
  "Similar titles": "相似的条目",
  "{}: {}": "{}：{}",
  "{}, by the language model {}": "{}，由语言模型 {} 写成",
  "{}: “{}”": "{}：“{}”",
  // the page of an item
  "Back to the list": "返回列表",
  "Open the page of {}": "打开 {} 的页面",
  "Its page": "条目页面",
  "Often chosen together": "常被一起选择",
  "No two users have it together with the same other title.": "还没有两位用户同时选过它和另一个相同的条目。",
  "Everything known about it": "全部信息",
  "The service has no item {}.": "服务中没有条目 {}。",
  "Because others chose both": "因为其他人两者都选了",
  // the API
  "The routes of this service. Programs read the same from": "本服务的接口。程序可读取同样内容的",
  Fields: "字段",
  Name: "名称",
  Type: "类型",
  Default: "默认值",
  Meaning: "含义",
  required: "必填",
  Parameters: "参数",
  Body: "请求体",
  Answer: "响应",
  Example: "示例",
  // troubles
  "The service does not answer.": "服务没有响应。",
  "The service could not answer.": "服务无法回答。",
  "Too many requests; wait a moment.": "请求过多，请稍候。",
  "The service is not ready yet.": "服务尚未就绪。",
  "The event log does not answer.": "事件日志没有响应。",
  "This needs a key.": "需要密钥。",
  "The key is for something else.": "此密钥没有该权限。",
};

export const LANGUAGES = { en: "English", zh: "中文" };

/** The chosen language; without a choice, the first of the browser's (its Accept-Language) that there is. */
export const language = (() => {
  const kept = localStorage.getItem("language");
  const wanted = [kept, ...navigator.languages].map((one) => String(one).slice(0, 2).toLowerCase());
  return wanted.find((one) => one in LANGUAGES) ?? "en";
})();

/** A text of the page in the chosen language; values take the places of its {}, one after the other. */
export function t(text, ...values) {
  const parts = (language === "zh" ? CHINESE[text] ?? text : text).split("{}");
  return parts.map((part, at) => part + (at < parts.length - 1 ? String(values[at] ?? "") : "")).join("");
}

/** Translate what stands in the HTML, and offer the other language. */
export function translatePage() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const [data, write] of [
    ["t", (one, text) => { one.textContent = text; }],
    ["tLabel", (one, text) => one.setAttribute("aria-label", text)],
    ["tPlaceholder", (one, text) => one.setAttribute("placeholder", text)],
    ["tContent", (one, text) => one.setAttribute("content", text)],
  ]) {
    const attribute = `data-${data.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    for (const one of document.querySelectorAll(`[${attribute}]`)) write(one, t(one.dataset[data]));
  }
  const choice = document.getElementById("language");
  const other = language === "zh" ? "en" : "zh";
  choice.textContent = LANGUAGES[other];
  choice.lang = other === "zh" ? "zh-CN" : "en";
  choice.addEventListener("click", () => { localStorage.setItem("language", other); location.reload(); });
}

/** Light or dark, as it was chosen last; the button changes it. */
export function listenToTheme() {
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  document.getElementById("theme").addEventListener("click", () => {
    const dark = getComputedStyle(document.documentElement).colorScheme === "dark";
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("theme", document.documentElement.dataset.theme);
  });
}
