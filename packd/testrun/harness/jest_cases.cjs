// A jest reporter that tells of each case as it ends; parsers/case_stream.py is the other end of the pipe.
"use strict";

const { writeSync } = require("node:fs"); // by its name: tests put other functions into the module

const TEXT_LIMIT = 16384; // characters of a message that are sent
const STATUSES = { passed: "passed", failed: "failed", pending: "skipped", todo: "skipped", disabled: "skipped", skipped: "skipped" };

class CaseReporter {
  constructor(globalConfig) {
    this.fd = Number(process.env.PACKD_EVENTS_FD ?? -1);
    this.root = globalConfig.rootDir;
    this.told = new Map(); // path → full names of the cases that were told as they ended
    delete process.env.PACKD_EVENTS_FD; // not the tests' business
  }

  onTestCaseStart(test, started) {
    this.say({ start: this.name(test.path, started.fullName) });
  }

  onTestCaseResult(test, result) {
    if (!this.told.has(test.path)) this.told.set(test.path, []);
    this.told.get(test.path).push(result.fullName);
    this.tell(test.path, result);
  }

  onTestResult(test, results) {
    if (results.testExecError || (results.failureMessage && results.testResults.length === 0)) {
      const message = results.failureMessage ?? String(results.testExecError.message);
      this.say({ case: { name: this.name(test.path, ""), status: "error", error_message: this.text(message) } });
      return;
    }
    // Cases that were skipped never ended, and other runners than jest-circus tell of none before the file is done.
    const told = this.told.get(test.path) ?? [];
    for (const result of results.testResults) {
      const at = told.indexOf(result.fullName);
      if (at < 0) this.tell(test.path, result);
      else told.splice(at, 1);
    }
    this.told.delete(test.path);
  }

  onRunComplete() {
    this.say({ end: true });
  }

  tell(path, result) {
    const said = { name: this.name(path, result.fullName), status: STATUSES[result.status] ?? "error" };
    if (result.duration) said.duration_ms = result.duration;
    if (result.failureMessages?.length) said.error_message = this.text(result.failureMessages.join("\n"));
    this.say({ case: said });
  }

  name(path, full) {
    const file = path.startsWith(`${this.root}/`) ? path.slice(this.root.length + 1) : path;
    return full ? `${file} > ${full}` : file;
  }

  text(message) {
    const lines = message.replace(/\u001b\[[0-9;]*m/g, "").split("\n");
    const own = lines.filter((line) => !/^\s+at .*\/node_modules\//.test(line)); // the frames of jest say nothing
    return own.join("\n").slice(-TEXT_LIMIT);
  }

  say(words) {
    let line = Buffer.from(`${JSON.stringify(words)}\n`);
    try {
      while (line.length > 0) line = line.subarray(writeSync(this.fd, line));
    } catch {
      this.fd = -1; // nobody listens
    }
  }
}

module.exports = CaseReporter;
