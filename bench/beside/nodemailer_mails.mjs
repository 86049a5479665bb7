// The mails by nodemailer, over eight connections. nodemailer_mails.mjs INPUTS PORT
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import nodemailer from "nodemailer";

const [inputs, port] = process.argv.slice(2);
const people = JSON.parse(readFileSync(`${inputs}/people.json`));
const server = { host: "127.0.0.1", port, ignoreTLS: true, pool: true, maxConnections: 8, maxMessages: Infinity };
const transport = nodemailer.createTransport(server);
const mail = ({ email, name, city }) => ({
  from: "errand@example.org", to: email, subject: `News for ${name}`, text: `Dear ${name},\n\nthere is news from ${city}.\n`,
});
await Promise.all(people.map((person) => transport.sendMail(mail(person))));
transport.close();
const { version } = createRequire(import.meta.url)("nodemailer/package.json");
console.log(JSON.stringify({ package: `nodemailer ${version}` }));
