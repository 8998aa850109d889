// Opens a report in a browser, with and without its script, wide and narrow, light and dark, and
// writes what was seen as JSON: node look.mjs BROWSER FILE
import { chromium } from "playwright-core";

const [, , executablePath, file] = process.argv;
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const views = [];

const opened = async (width, options) => {
  const page = await browser.newPage({ viewport: { width, height: 800 }, ...options });
  const said = [];
  page.on("console", (message) => said.push(message.text()));
  page.on("pageerror", (error) => said.push(String(error)));
  page.on("request", (request) => {
    if (/^https?:/.test(request.url())) said.push(request.url());
  });
  await page.goto(`file://${file}`);
  return [page, said];
};

for (const width of [1280, 320]) {
  for (const options of [{ colorScheme: "light" }, { colorScheme: "dark" }]) {
    const [page, said] = await opened(width, options);
    await page.evaluate(() => {
      for (const details of document.querySelectorAll("details")) details.open = true;
    });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    views.push({ width, wide, said, ground, ...options });
    await page.close();
  }
}

const [page, said] = await opened(1280, {});
const focused = () =>
  page.evaluate(() => {
    const it = document.activeElement;
    const drawn = getComputedStyle(it).outlineStyle !== "none";
    return [it.id || it.className || it.tagName.toLowerCase(), drawn];
  });
const order = [];
for (let stop = 0; stop < 9; stop += 1) {
  await page.keyboard.press("Tab");
  order.push(await focused());
}
// The last stop is the first scenario's summary.
await page.keyboard.press("Enter");
const byKeyboard = await page.evaluate(() => document.activeElement.parentElement.open);
const shown = () => page.locator("tbody.scenario:visible").count();
const all = await shown();
await page.locator("#search").fill("wouldn't be said");
const none = [await shown(), await page.locator(".nothing").isVisible()];
await page.locator("#search").fill("RECIPIENT public specify");
const found = [await shown(), await page.locator("#count").textContent()];
await page.locator("button[type=reset]").click();
await page.locator("#outcome").selectOption("sim:failed");
const failed = await shown();
await page.goto(`file://${file}#flow/opens`);
await page.reload();
const followed = await page.locator("[id='flow/opens'] details").first().getAttribute("open");

const [plain] = await opened(1280, { javaScriptEnabled: false });
const withoutScript = await plain.locator("tbody.scenario:visible").count();
const filters = await plain.locator("form").isVisible();
await plain.locator("summary").first().click();
const opens = await plain.locator("details[open] svg").first().isVisible();

console.log(
  JSON.stringify({
    views, said, order, byKeyboard, all, none, found, failed,
    followed: followed !== null, withoutScript, filters, opens,
  }),
);
await browser.close();
