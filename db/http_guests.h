// SPDX-License-Identifier: Apache-2.0
// Who is connected, and until when each has to have done the next step. A timeout of silence alone would let a guest who sends a byte now and then
// hold his place for hours. A thread shuts the socket of him who is late; closing it stays the HTTP library's. All functions are thread-safe;
// a guest is valid from enter to leave.
#ifndef HONE_DB_HTTP_GUESTS_H
#define HONE_DB_HTTP_GUESTS_H

#include "base/status.h"

typedef struct hone_http_guests hone_http_guests;
typedef struct hone_http_guest hone_http_guest;

hone_status hone_http_guests_new(hone_http_guests **guests);
void hone_http_guests_free(hone_http_guests *guests);         // once all have left; NULL is legal

hone_http_guest *hone_http_guest_enter(hone_http_guests *guests, int handle, int seconds);      // NULL: out of memory
void hone_http_guest_expect(hone_http_guest *guest, int seconds);      // the next step, from now; NULL is legal
void hone_http_guest_leave(hone_http_guests *guests, hone_http_guest *guest);                   // before the socket is closed; NULL is legal

#endif
