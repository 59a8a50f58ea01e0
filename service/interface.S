/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The text of the interface, as GetInterfaceDescription answers it: the file itself, so that the two cannot differ.
   A NUL follows it, so that it is a string as well. Assembled with -I. at the top of the tree. */

	.section .rodata
	.global service_interface
	.type service_interface, %object
service_interface:
	.incbin "service/org.childhurd.varlink"
	.size service_interface, . - service_interface
	.byte 0

	.section .note.GNU-stack, "", %progbits
