// A reporter for `node --test` that tells of each case as it ends; parsers/case_stream.py is the other end of the pipe.

import { writeSync } from "node:fs";
import { relative } from "node:path";

const TEXT_LIMIT = 16384; // characters of a message that are sent
const INTERNAL = /^\s+at .*(?:\(|async |at )node:/; // frames of Node.js itself say nothing

let pipe = Number(process.env.PACKD_EVENTS_FD ?? -1);
delete process.env.PACKD_EVENTS_FD; // not the tests' business

function say(words) {
  let line = Buffer.from(`${JSON.stringify(words)}\n`);
  try {
    while (line.length > 0) line = line.subarray(writeSync(pipe, line));
  } catch {
    pipe = -1; // nobody listens
  }
}

function message(error) {
  const cause = error?.cause ?? error;
  const text = String(cause?.stack ?? cause?.message ?? cause ?? "");
  const lines = text.replace(/\u001b\[[0-9;]*m/g, "").split("\n");
  return lines.filter((line) => !INTERNAL.test(line)).join("\n").slice(-TEXT_LIMIT);
}

function status(type, data) {
  if (data.skip !== undefined) return "skipped";
  if (type === "test:pass") return "passed";
  return data.todo === undefined ? "failed" : "skipped";
}

function why(type, data) {
  for (const word of ["skip", "todo"]) {
    if (data[word] !== undefined && (word === "skip" || type === "test:fail")) {
      return typeof data[word] === "string" && data[word] ? `${word} ${data[word]}` : word;
    }
  }
  return type === "test:fail" ? message(data.details?.error) : "";
}

// A test around others is a case of its own only when it fails by itself; an empty group is none.
function isCase(type, data, hasInner) {
  if (type === "test:fail") return data.details?.error?.failureType !== "subtestsFailed";
  return !hasInner && (data.details?.type !== "suite" || data.skip !== undefined);
}

export default async function* report(source) {
  const names = []; // of the tests around the current one, outermost first
  const inner = []; // depth → has a test at this depth ended since the last one above it?
  for await (const { type, data } of source) {
    if (type === "test:start") {
      names.length = data.nesting;
      names.push(data.name === data.file ? relative(process.cwd(), data.file) : data.name);
      say({ start: names.join(" > ") });
    } else if (type === "test:pass" || type === "test:fail") {
      const depth = data.nesting;
      const hasInner = inner[depth + 1] === true;
      inner.length = depth + 1;
      inner[depth] = true;
      if (!isCase(type, data, hasInner)) continue;
      const name = names.slice(0, depth + 1).join(" > ");
      const told = { name, status: status(type, data), duration_ms: data.details?.duration_ms ?? 0 };
      const said = why(type, data);
      if (said) told.error_message = said;
      say({ case: told });
    }
  }
  say({ end: true });
}
