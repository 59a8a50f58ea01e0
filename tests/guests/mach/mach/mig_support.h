/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the stubs of mach_host.defs call. A C library ordinarily brings this header and these
 * functions; the probe has no C library, so it has them itself, see probe.c.
 */
#pragma once

#include <mach/message.h>
#include <mach/port.h>

mach_port_t mig_get_reply_port(void);
void mig_put_reply_port(mach_port_t port);
void mig_dealloc_reply_port(mach_port_t port);

mach_msg_return_t mach_msg(mach_msg_header_t *message, mach_msg_option_t options,
			   mach_msg_size_t send_size, mach_msg_size_t receive_size,
			   mach_port_t receive_name, mach_msg_timeout_t timeout,
			   mach_port_t notify);
