// Reads a sealed key with the npm package `jose`, sharing no code with keyvault.
// usage: node jose_check.mjs SEALED ISSUER.pub DEVICE.json HOST.pem...   (- instead of DEVICE.json: for hosts alone)
// Prints one JSON object: header, claims, and the epoch key as each recipient unseals it, in hexadecimal.
import { readFileSync } from "node:fs";
import { compactVerify, flattenedDecrypt, generalDecrypt, importJWK, importPKCS8, importSPKI, calculateJwkThumbprint, exportJWK } from "jose";

const [sealed, issuerFile, deviceFile, ...hostFiles] = process.argv.slice(2);
const text = (file) => readFileSync(file, "utf8");
const hex = (bytes) => Buffer.from(bytes).toString("hex");
const utf8 = (bytes) => new TextDecoder("utf-8", { fatal: true }).decode(bytes);

const issuer = await importSPKI(text(issuerFile), "Ed25519", { extractable: true });
const signed = await compactVerify(text(sealed), issuer, { algorithms: ["Ed25519"] });
const message = JSON.parse(utf8(signed.payload));
const claims = JSON.parse(Buffer.from(message.protected, "base64url").toString("utf8")).grant;

const readers = [];
if (deviceFile !== "-") readers.push(["A256KW", await importJWK(JSON.parse(text(deviceFile)).kek, "A256KW")]);
for (const file of hostFiles) readers.push(["RSA-OAEP-256", await importPKCS8(text(file), "RSA-OAEP-256")]);

const keys = [];
for (const [index, [algorithm, key]] of readers.entries()) {
  const options = { keyManagementAlgorithms: [algorithm], contentEncryptionAlgorithms: ["A256GCM"] };
  const { recipients, ...shared } = message;
  const own = await flattenedDecrypt({ ...shared, ...recipients[index] }, key, options);
  const whole = await generalDecrypt(message, key, options);
  if (hex(own.plaintext) !== hex(whole.plaintext)) throw new Error("two ways of opening differ");
  keys.push(hex(own.plaintext));
}
const thumbprint = await calculateJwkThumbprint(await exportJWK(issuer));
console.log(JSON.stringify({ header: signed.protectedHeader, thumbprint, claims, keys }));
