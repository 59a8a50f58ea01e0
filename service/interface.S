/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The text of the interface, as GetInterfaceDescription answers it: the file itself, so that the two cannot differ.
   service_interface_end is the first byte after it, a NUL, so that it is a string as well. Assembled with -I. at the top
   of the tree. */

	.section .rodata
	.global service_interface
	.global service_interface_end
	.type service_interface, %object
	.type service_interface_end, %object
service_interface:
	.incbin "service/org.childhurd.varlink"
service_interface_end:
	.byte 0
	.size service_interface, service_interface_end - service_interface
	.size service_interface_end, 1

	.section .note.GNU-stack, "", %progbits
