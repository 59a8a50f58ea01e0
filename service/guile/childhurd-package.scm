;; SPDX-License-Identifier: GPL-3.0-or-later
;;
;; The package of childhurd, for the command line (`guix build childhurd', `guix shell childhurd') and for the service.
;; Its sources are those that this file belongs to: a checkout, or what `guix pull' has fetched.

(define-module (childhurd-package)
  #:use-module (gnu packages acl)
  #:use-module (gnu packages backup)
  #:use-module (gnu packages curl)
  #:use-module (gnu packages glib)
  #:use-module (gnu packages gnome)
  #:use-module (gnu packages gnupg)
  #:use-module (gnu packages libevent)
  #:use-module (gnu packages linux)
  #:use-module (gnu packages pkg-config)
  #:use-module (gnu packages sqlite)
  #:use-module (gnu packages ssh)
  #:use-module (gnu packages virtualization)
  #:use-module (gnu packages xml)
  #:use-module (guix build-system gnu)
  #:use-module (guix diagnostics)
  #:use-module (guix gexp)
  #:use-module (guix i18n)
  #:use-module ((guix licenses) #:prefix license:)
  #:use-module (guix packages)
  #:use-module (guix utils)
  #:use-module (ice-9 rdelim)
  #:use-module (srfi srfi-1)
  #:use-module (srfi srfi-34)
  #:export (childhurd
            childhurd-from-checkout
            %childhurd-sources))

(define %here (dirname (canonicalize-path (search-path %load-path "childhurd-package.scm"))))

(define %childhurd-sources
  ;; The folder of the sources; #f if this file has been installed without them.
  (let ((root (dirname (dirname %here))))
    (and (file-exists? (string-append root "/childhurdd/main.c"))
         root)))

(define (makefile-version)
  "The version, which the Makefile has."
  (define prefix "VERSION := ")

  (call-with-input-file (string-append %childhurd-sources "/Makefile")
    (lambda (port)
      (let loop ((line (read-line port)))
        (if (string-prefix? prefix line)
            (string-drop line (string-length prefix))
            (loop (read-line port)))))))

(define (checkout)
  (local-file %childhurd-sources "childhurd-checkout"
              #:recursive? #t
              #:select? (lambda (file stat)
                          (not (member file (map (lambda (name) (string-append %childhurd-sources "/" name))
                                                 '("build" ".git" ".ci")))))))

(define childhurd
  (and %childhurd-sources
       (package
         (name "childhurd")
         (version (makefile-version))
         (source (checkout))
         (build-system gnu-build-system)
         (arguments
          (list #:make-flags #~(list (string-append "PREFIX=" #$output)
                                     (string-append "CC=" #$(cc-for-target))
                                     ;; A warning of a later compiler must not prevent the package.
                                     "WARN=-Wall")
                #:tests? #f             ;the tests make guests from Debian's packages
                #:phases #~(modify-phases %standard-phases
                             (delete 'configure)
                             ;; A Guix System has no ssh in its profile unless somebody puts it there.
                             (add-after 'unpack 'name-ssh
                               (lambda* (#:key inputs #:allow-other-keys)
                                 (let ((ssh (format #f "~s" (search-input-file inputs "bin/ssh"))))
                                   (substitute* '("service/ctl/host.c" "service/ctl/ssh.c")
                                     (("execvp\\(\"ssh\"") (string-append "execvp(" ssh))
                                     (("add\\(argv, \"ssh\"\\)") (string-append "add(argv, " ssh ")")))
                                   (substitute* "childhurdd/host/check.c"
                                     (("g_find_program_in_path\\(\"ssh\"\\)")
                                      (string-append "g_find_program_in_path(" ssh ")")))))))))
         (native-inputs (list pkg-config))
         (inputs (list acl curl e2fsprogs glib json-glib libarchive libev libgcrypt libinih libssh libvirt libxml2
                       openssh sqlite))
         (home-page "https://www.gnu.org/software/hurd/")
         (synopsis "GNU/Hurd virtual machines as build machines")
         (description "The daemon childhurdd boots and watches GNU/Hurd virtual machines, and publishes those that have proven
to be ready as build machines, so that Guix offloads builds to them.  @command{childhurdctl} controls it.")
         (license license:gpl3+))))

(define (childhurd-from-checkout)
  "The package.  It is an error if this file has been installed without the sources."
  (unless childhurd
    (raise (formatted-message (G_ "childhurd: ~a is not in a checkout of childhurd, from which the package would be \
built; use the channel or 'guix system -L CHECKOUT/service/guile', or give the field 'childhurd' a package")
                              %here)))
  childhurd)
