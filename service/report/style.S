/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The style sheet of the pages, which is in each of them: the file itself, as a string. Assembled with -I. at the top of the tree. */

	.section .rodata
	.global report_style
	.type report_style, %object
report_style:
	.incbin "service/report/style.css"
	.size report_style, . - report_style
	.byte 0

	.section .note.GNU-stack, "", %progbits
