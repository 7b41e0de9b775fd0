// Package kvhttp serves a kvstore.Store over HTTP.
//
//	GET, HEAD /kv/TABLE/KEY   200 and the value; 304, 404
//	PUT /kv/TABLE/KEY         201 created, 204 replaced; 412, 413
//	DELETE /kv/TABLE/KEY      204; 404, 412
//	GET, HEAD /kv/TABLE/      200 and a listing
//	GET, HEAD ...?watch       200 and what is there, then what changes; 503
//	POST /kv/:batch           200 when all of it was done; 409, 412, 413, 415
//
// # Keys and values
//
// TABLE and KEY are percent-decoded and then taken as bytes: KEY is the whole
// rest of the path, so "a/b" and "a%2Fb" are the same key, no dot segment and no
// slash is removed, and every byte is allowed. The empty key is 400. A value is
// the content as it was sent; its media type is not kept, and it is given back
// as application/octet-stream.
//
// # Versions
//
// Each answer with an entry has ETag, the entry's counter in quotes: a strong
// validator (RFC 9110 8.8.3) that changes with the value and with the expiry.
// If-Match and If-None-Match take lists and "*" and are checked in the same
// transaction as the change, so "If-None-Match: *" adds and `If-Match: "7"`
// updates exactly what was read. An absent entry is 404 for GET and DELETE
// whatever the conditions say (RFC 9110 13.2.1).
//
// # Expiry
//
// PUT takes ?ttl= with a positive Go duration such as 90s, or ?expires_at= with
// a time in RFC 3339 that is not past; without them a present entry keeps its
// expiry. An entry that expires is given with Postern-Expires-At, in RFC 3339
// and UTC.
//
// # Listings
//
// A listing has one JSON object a line (application/x-ndjson), in the byte order
// of the keys:
//
//	{"key":"a","value":"text","counter":3,"expires_at":"2030-01-02T03:04:05Z"}
//
// A key or value that is not UTF-8 stands as "key_base64" or "value_base64"
// instead (RFC 4648 4), so nothing is lost; "expires_at" is left out if the entry
// does not expire. ?prefix= selects keys, ?after= continues behind a key, ?limit=
// is 100 unless given and 1000 at most; fewer lines than that are the end. A long
// listing is read in several snapshots, of about 256 KiB: a line is right for the
// moment it was read.
//
// # Watching
//
// ?watch on an entry or on a listing, there perhaps with ?prefix=, answers with
// Server-Sent Events (text/event-stream) that do not end:
//
//	event: put
//	data: {"key":"a","value":"text","counter":3}
//
//	event: delete
//	data: {"key":"a"}
//
// First comes what is there, in the order of the keys, then each change, with a
// line as in listings. Changes that follow one another closely may come as one, the
// last: who is slow misses what was between, and holds nobody up. An entry that
// expired is deleted when the store's sweeper has found it. An entry that is not
// there is watched too; its first event is a delete. Its events have the counter for
// their id, and a client that comes back with Last-Event-ID is not told again what
// it knows; a table is always told from the beginning.
//
// A comment is sent when there was nothing to tell for a while (Config.WatchPing).
// The stream ends when the server shuts down, and after an "event: error" when the
// store has failed or was closed. More clients than Config.MaxWatches get 503.
//
// # Batches
//
// A batch is a procedure in lines (application/x-ndjson), which are done in order
// and all together, or not at all:
//
//	{"op":"cas","table":"default","key":"a","value":"text","counter":3}
//	{"op":"put","table":"default","key_base64":"/w==","value_base64":"/g==","ttl":"90s"}
//	{"op":"delete","table":"default","key":"b"}
//
// put writes an entry, add one that must not be there, and cas one whose counter
// must be the one given; all of them take "ttl" or "expires_at". get and delete take
// a "counter" that must be that of the entry; without it an absent entry is as good
// as another. The answer has a line for each operation, with the key, the counter of
// the entry that was read, written or deleted, which is left out if there was none,
// and for get what a listing has.
//
// What stands in the way is told by an error that names the line, counted from 1:
// 409 an entry that add found, 412 a counter that is another one, 413 a value or all
// of it too long, 400 what is no operation, down to a member that is unknown or given
// twice. Then nothing was done.
//
// The Content-Type must be application/x-ndjson, else 415: browsers send that to
// another site only with its permission, which is not given.
//
// # Errors
//
// An answer of 400 and above has a line of plain text. A parameter that the
// request does not take, or that is given twice, is 400: a mistyped ttl would
// otherwise keep a value for ever. A full disk is 507, with nothing written; a
// store that is closed or has stopped is 503. What the store's own error says
// goes to the log and to no client.
//
// # Access
//
// Without a Config.Token everybody who can connect may read and write, so only
// loopback and Unix sockets are fit for it: see NeedsToken.
package kvhttp
