;; SPDX-License-Identifier: GPL-3.0-or-later
;;
;; childhurdd as a service of Guix System. In a system's configuration, for `guix system -L CHECKOUT/service/guile ...':
;;
;;   (use-modules (childhurd-service))
;;   (service childhurd-service-type
;;            (childhurd-configuration (count 4)))
;;
;; A field that Guix' hurd-vm-configuration has too (gnu services virtualization) means the same here. Two of its fields
;; are missing, because they would have no effect: `net-options', as childhurdd makes network and ports itself, and
;; `secret-root', as each guest has its own.
;;
;; The daemon runs as root: it authorizes the guests' signing keys, and keeps Guix' build slots while a guest goes down.

(define-module (childhurd-service)
  #:use-module (gnu image)
  #:use-module (gnu packages acl)
  #:use-module (gnu packages admin)
  #:use-module (gnu packages backup)
  #:use-module (gnu packages curl)
  #:use-module (gnu packages glib)
  #:use-module (gnu packages gnome)
  #:use-module (gnu packages gnupg)
  #:use-module (gnu packages libevent)
  #:use-module (gnu packages linux)
  #:use-module (gnu packages pkg-config)
  #:use-module (gnu packages ssh)
  #:use-module (gnu packages virtualization)
  #:use-module (gnu packages xml)
  #:use-module ((gnu services) #:hide (delete))
  #:use-module (gnu services base)
  #:use-module (gnu services shepherd)
  #:use-module (gnu services virtualization)
  #:use-module (gnu system image)
  #:use-module (gnu system shadow)
  #:use-module (guix build-system gnu)
  #:use-module (guix diagnostics)
  #:use-module (guix gexp)
  #:use-module (guix i18n)
  #:use-module ((guix licenses) #:prefix license:)
  #:use-module (guix packages)
  #:use-module (guix records)
  #:use-module (guix utils)
  #:use-module (ice-9 match)
  #:use-module (srfi srfi-1)
  #:use-module (srfi srfi-34)
  #:use-module (srfi srfi-35)
  #:export (childhurd-from-checkout
            childhurd-configuration
            childhurd-configuration?
            childhurd-configuration->ini
            childhurd-service-type))


;;;
;;; The package.
;;;

(define %here (dirname (canonicalize-path (search-path %load-path "childhurd-service.scm"))))

(define (checkout)
  "The sources that this file belongs to.  It is an error if this file has been installed."
  (define root (dirname (dirname %here)))

  (unless (file-exists? (string-append root "/childhurdd/main.c"))
    (raise (formatted-message (G_ "childhurd: ~a is not in a checkout of childhurd, from which the package would be \
built; use 'guix system -L CHECKOUT/service/guile', or give the field 'childhurd' a package")
                              %here)))
  (local-file root "childhurd-checkout"
              #:recursive? #t
              #:select? (lambda (file stat)
                          (not (member file (map (lambda (name) (string-append root "/" name))
                                                 '("build" ".git" ".ci")))))))

(define package-from-checkout
  (delay
    (package
      (name "childhurd")
      (version "0.1.0")
      (source (checkout))
      (build-system gnu-build-system)
      (arguments
       (list #:make-flags #~(list (string-append "PREFIX=" #$output)
                                  (string-append "CC=" #$(cc-for-target)))
             #:tests? #f                ;the tests make guests from Debian's packages
             #:phases #~(modify-phases %standard-phases
                          (delete 'configure))))
      (native-inputs (list pkg-config))
      (inputs (list acl curl e2fsprogs glib json-glib libarchive libev libgcrypt libinih libssh libvirt libxml2))
      (home-page "https://www.gnu.org/software/hurd/")
      (synopsis "GNU/Hurd virtual machines as build machines")
      (description "childhurdd boots and watches GNU/Hurd virtual machines, and publishes those that have proven to be
ready as build machines, so that Guix offloads builds to them.  childhurdctl controls it.")
      (license license:gpl3+))))

(define (childhurd-from-checkout)
  "The package, built from the sources that this file belongs to."
  (force package-from-checkout))


;;;
;;; The configuration.
;;;

(define (refuse field value expected)
  (raise (formatted-message (G_ "childhurd-configuration: ~a: ~s is not ~a") field value expected)))

(define-syntax-rule (define-check (name value) good? expected)
  "Define NAME.  Called with a field's name, it returns a sanitizer, which refuses a VALUE that is not GOOD?."
  (define (name field)
    (lambda (value)
      (if good? value (refuse field value expected)))))

(define (line? value)
  ;; In childhurd.ini(5) a semicolon after a space begins a comment.
  (and (string? value)
       (not (string-index value (char-set #\newline #\return #\nul)))
       (not (string-contains value " ;"))
       (not (string-contains value "\t;"))))

(define (whole? value)
  (and (integer? value) (exact? value)))

(define a-line (G_ "a string of one line, without a semicolon after a space"))

(define-check (positive value) (and (whole? value) (positive? value)) (G_ "a whole number above 0"))
(define-check (positive/not value) (or (not value) (and (whole? value) (positive? value)))
  (G_ "#f or a whole number above 0"))
(define-check (natural/not value) (or (not value) (and (whole? value) (>= value 0)))
  (G_ "#f or a whole number from 0"))
(define-check (number/not value) (or (not value) (and (real? value) (positive? value))) (G_ "#f or a number above 0"))
(define-check (size value) (or (eq? value 'guess) (and (whole? value) (positive? value)))
  (G_ "'guess or a number of bytes"))
(define-check (boolean value) (boolean? value) (G_ "#t or #f"))
(define-check (boolean/asleep value) (or (boolean? value) (eq? value 'asleep)) (G_ "#t, #f or 'asleep"))
(define-check (image-type value) (memq value '(hurd-qcow2 hurd64-qcow2)) (G_ "hurd-qcow2 or hurd64-qcow2"))
(define-check (disk value) (memq value '(ephemeral persistent)) (G_ "ephemeral or persistent"))
(define-check (guest-name value) (and (line? value) (not (string-null? value)) (not (string-index value #\])))
  (G_ "a guest's name"))
(define-check (line value) (line? value) a-line)
(define-check (line/not value) (or (not value) (line? value)) (string-append (G_ "#f or ") a-line))
(define-check (text value) (string? value) (G_ "a string"))
(define-check (lines value) (and (list? value) (every line? value)) (string-append (G_ "a list, each ") a-line))
(define-check (symbols value) (and (list? value) (every symbol? value)) (G_ "a list of symbols"))
(define-check (configurations value) (and (list? value) (every configuration? value))
  (G_ "a list of childhurd-configurations"))

(define (options field)
  (lambda (value)
    ;; The default of Guix' hurd-vm, so configurations written for it may have it.
    (when (and (list? value) (any (lambda (option) (member option '("--snapshot" "-snapshot"))) value))
      (raise (formatted-message (G_ "childhurd-configuration: ~a: --snapshot has no place here: \
(disk 'ephemeral), the default, gives a guest a new disk at each start") field)))
    ((lines field) value)))

(define-record-type* <childhurd-configuration>
  childhurd-configuration make-childhurd-configuration
  childhurd-configuration?
  this-childhurd-configuration
  ;; As in hurd-vm-configuration.
  (os           childhurd-configuration-os               ;<operating-system>
                (default %hurd-vm-operating-system))
  (qemu         childhurd-configuration-qemu             ;file-like
                (default qemu-minimal))
  (type         childhurd-configuration-type             ;symbol
                (default 'hurd-qcow2)
                (sanitize (image-type 'type)))
  (image        childhurd-configuration-image            ;<image>, file-like or string
                (thunked)
                (default (default-image this-childhurd-configuration)))
  (disk-size    childhurd-configuration-disk-size        ;bytes or 'guess: of the image that is made from os
                (default 'guess)
                (sanitize (size 'disk-size)))
  (memory-size  childhurd-configuration-memory-size      ;MiB
                (default 2048)
                (sanitize (positive 'memory-size)))
  (options      childhurd-configuration-options          ;list of strings, for QEMU
                (default '())
                (sanitize (options 'options)))
  (id           childhurd-configuration-id               ;#f or integer
                (default #f)
                (sanitize (natural/not 'id)))
  (offloading?  childhurd-configuration-offloading?      ;Boolean
                (default #t)
                (sanitize (boolean 'offloading?)))
  ;; childhurd.ini(5) describes the fields that have the name of a key.  #f omits the key.
  (name         childhurd-configuration-name             ;string
                (default "childhurd")
                (sanitize (guest-name 'name)))
  (count        childhurd-configuration-count            ;integer
                (default 1)
                (sanitize (positive 'count)))
  (cpus         childhurd-configuration-cpus             ;integer
                (default 1)
                (sanitize (positive 'cpus)))
  (disk         childhurd-configuration-disk             ;'ephemeral or 'persistent
                (default 'ephemeral)
                (sanitize (disk 'disk)))
  (acceleration childhurd-configuration-acceleration     ;#f or string
                (default #f)
                (sanitize (line/not 'acceleration)))
  (network      childhurd-configuration-network          ;#f or string
                (default #f)
                (sanitize (line/not 'network)))
  (architecture childhurd-configuration-architecture     ;#f or string: else what the image is
                (default #f)
                (sanitize (line/not 'architecture)))
  (distribution childhurd-configuration-distribution     ;#f or string: else what the image is
                (default #f)
                (sanitize (line/not 'distribution)))
  (inject       childhurd-configuration-inject           ;#f or string
                (default #f)
                (sanitize (line/not 'inject)))
  (warm-start   childhurd-configuration-warm-start       ;#f or string
                (default #f)
                (sanitize (line/not 'warm-start)))
  (prepare-command childhurd-configuration-prepare-command ;#f or string
                (default #f)
                (sanitize (line/not 'prepare-command)))
  (recycle-after childhurd-configuration-recycle-after   ;#f or integer: builds
                (default #f)
                (sanitize (positive/not 'recycle-after)))
  (idle-timeout childhurd-configuration-idle-timeout     ;#f or seconds
                (default #f)
                (sanitize (positive/not 'idle-timeout)))
  (autostart?   childhurd-configuration-autostart?       ;Boolean or 'asleep
                (default #t)
                (sanitize (boolean/asleep 'autostart?)))
  (features     childhurd-configuration-features         ;list of strings
                (default '())
                (sanitize (lines 'features)))
  (parallel-builds childhurd-configuration-parallel-builds ;#f or integer
                (default #f)
                (sanitize (positive/not 'parallel-builds)))
  (speed        childhurd-configuration-speed            ;#f or number
                (default #f)
                (sanitize (number/not 'speed)))
  (overload-threshold childhurd-configuration-overload-threshold ;#f or number
                (default #f)
                (sanitize (number/not 'overload-threshold)))
  (probe-command childhurd-configuration-probe-command   ;#f or string
                (default #f)
                (sanitize (line/not 'probe-command)))
  (probe-interval childhurd-configuration-probe-interval ;#f or seconds
                (default #f)
                (sanitize (positive/not 'probe-interval)))
  (boot-timeout childhurd-configuration-boot-timeout     ;#f or seconds
                (default #f)
                (sanitize (positive/not 'boot-timeout)))
  (hang-timeout childhurd-configuration-hang-timeout     ;#f or seconds
                (default #f)
                (sanitize (positive/not 'hang-timeout)))
  (stop-timeout childhurd-configuration-stop-timeout     ;#f or seconds
                (default #f)
                (sanitize (positive/not 'stop-timeout)))
  (extra-content childhurd-configuration-extra-content   ;string, at the section's end
                (default "")
                (sanitize (text 'extra-content)))
  ;; These concern the daemon.  Only the service's own configuration may have them, not those in `guests'.
  (childhurd    childhurd-configuration-childhurd        ;file-like
                (thunked)
                (default (childhurd-from-checkout)))
  (guests       childhurd-configuration-guests           ;list of <childhurd-configuration>: other guests
                (default '())
                (sanitize (configurations 'guests)))
  (parallel-starts childhurd-configuration-parallel-starts ;#f or integer
                (default #f)
                (sanitize (positive/not 'parallel-starts)))
  (host-name    childhurd-configuration-host-name        ;#f or string
                (default #f)
                (sanitize (line/not 'host-name)))
  (guest-services childhurd-configuration-guest-services ;list of strings: guests with a shepherd service of their own
                (default '())
                (sanitize (lines 'guest-services)))
  (shepherd-requirement childhurd-configuration-shepherd-requirement ;list of symbols
                (default '(user-processes loopback networking))
                (sanitize (symbols 'shepherd-requirement))))

;; For code above the record: the record's own predicate is a macro.
(define (configuration? value)
  (childhurd-configuration? value))

(define (default-image config)
  "The image that Guix' hurd-vm would start."
  (hurd-vm-disk-image (hurd-vm-configuration
                       (os (childhurd-configuration-os config))
                       (type (childhurd-configuration-type config))
                       (disk-size (childhurd-configuration-disk-size config))
                       (offloading? (childhurd-configuration-offloading? config)))))


;;;
;;; childhurd.ini.
;;;

(define (yes/no value) (if value "yes" "no"))
(define (yes/no/asleep value) (if (symbol? value) (symbol->string value) (yes/no value)))
(define (seconds value) (and value (string-append (number->string value) "s")))
(define (real value) (and value (number->string (exact->inexact value))))
(define (integer value) (and value (number->string value)))
(define (words value) (and (pair? value) (string-join value " ")))

(define (shell-words value)
  (define (quoted word)
    (string-append "'" (string-join (string-split word #\') "'\\''") "'"))

  (and (pair? value) (string-join (map quoted value) " ")))

;; Key, field, and how to write the value; #f: omit the key.  A field without a key of its own has a row with the key
;; that has the same effect.
(define %daemon-keys
  `(("parallel-starts" ,childhurd-configuration-parallel-starts ,integer)
    ("host-name" ,childhurd-configuration-host-name ,identity)))

(define %guest-keys
  `(("count" ,childhurd-configuration-count ,(lambda (count) (and (> count 1) (integer count))))
    ("id" ,childhurd-configuration-id ,integer)
    ("image" ,childhurd-configuration-image
     ,(lambda (image)
        (cond ((image? image) #~#+(system-image image))
              ((string? image) ((line 'image) image))
              (else image))))
    ("memory-size" ,childhurd-configuration-memory-size ,(lambda (size) (string-append (integer size) "M")))
    ("cpus" ,childhurd-configuration-cpus ,integer)
    ("machine" ,childhurd-configuration-type ,(lambda (type) (and (eq? type 'hurd64-qcow2) "q35")))
    ("systems" ,childhurd-configuration-type ,(lambda (type) (if (eq? type 'hurd64-qcow2) "x86_64-gnu" "i586-gnu")))
    ("emulator" ,childhurd-configuration-qemu ,(lambda (qemu) (file-append qemu "/bin/qemu-system-x86_64")))
    ("qemu-options" ,childhurd-configuration-options ,shell-words)
    ("disk" ,childhurd-configuration-disk ,symbol->string)
    ("acceleration" ,childhurd-configuration-acceleration ,identity)
    ("network" ,childhurd-configuration-network ,identity)
    ("offloading" ,childhurd-configuration-offloading? ,yes/no)
    ("architecture" ,childhurd-configuration-architecture ,identity)
    ("distribution" ,childhurd-configuration-distribution ,identity)
    ("inject" ,childhurd-configuration-inject ,identity)
    ("warm-start" ,childhurd-configuration-warm-start ,identity)
    ("prepare-command" ,childhurd-configuration-prepare-command ,identity)
    ("recycle-after" ,childhurd-configuration-recycle-after ,integer)
    ("idle-timeout" ,childhurd-configuration-idle-timeout ,seconds)
    ("autostart" ,childhurd-configuration-autostart? ,yes/no/asleep)
    ("features" ,childhurd-configuration-features ,words)
    ("parallel-builds" ,childhurd-configuration-parallel-builds ,integer)
    ("speed" ,childhurd-configuration-speed ,real)
    ("overload-threshold" ,childhurd-configuration-overload-threshold ,real)
    ("probe-command" ,childhurd-configuration-probe-command ,identity)
    ("probe-interval" ,childhurd-configuration-probe-interval ,seconds)
    ("boot-timeout" ,childhurd-configuration-boot-timeout ,seconds)
    ("hang-timeout" ,childhurd-configuration-hang-timeout ,seconds)
    ("stop-timeout" ,childhurd-configuration-stop-timeout ,seconds)))

(define (section title keys config)
  "The strings and file-like objects of a section."
  `("[" ,title "]\n"
    ,@(append-map (match-lambda
                    ((key field write)
                     (let ((value (write (field config))))
                       (if value
                           (list key " = " value "\n")
                           '()))))
                  keys)))

(define (check-guest config)
  "Refuse CONFIG, one of the field `guests', if it has fields that concern the daemon."
  (unless (and (null? (childhurd-configuration-guests config))
               (null? (childhurd-configuration-guest-services config))
               (every (match-lambda ((key field _) (not (field config)))) %daemon-keys))
    (raise (formatted-message (G_ "childhurd-configuration: ~a: guests, guest-services, parallel-starts and host-name \
concern the daemon: move them to the service's own configuration, out of those in 'guests'")
                              (childhurd-configuration-name config))))
  config)

(define (all-guests config)
  (let ((guests (cons config (map check-guest (childhurd-configuration-guests config)))))
    (fold (lambda (guest names)
            (let ((name (childhurd-configuration-name guest)))
              (when (member name names)
                (raise (formatted-message (G_ "childhurd-configuration: two guests have the name ~a") name)))
              (cons name names)))
          '()
          guests)
    guests))

(define (childhurd-configuration->ini config)
  "The configuration that childhurdd reads, a file-like object."
  (apply mixed-text-file "childhurd.ini"
         (append (section "daemon" %daemon-keys config)
                 (append-map (lambda (guest)
                               (append (section (string-append "guest " (childhurd-configuration-name guest))
                                                %guest-keys guest)
                                       (list (childhurd-configuration-extra-content guest) "\n")))
                             (all-guests config)))))


;;;
;;; The service.
;;;

(define %configuration-file "/etc/childhurd/childhurd.ini")

(define-syntax-rule (with-childhurd.scm exp)
  "The gexp EXP, in which the module (childhurd) can be used."
  (with-extensions (list shepherd-1.0 (lookup-package-input shepherd-1.0 "guile-fibers"))
    (with-imported-modules `(((childhurd) => ,(local-file (string-append %here "/childhurd.scm"))))
      exp)))

(define (shepherd-services config)
  "The services of childhurd.scm.  Guix requires a file for each service; each file makes both services and takes one."
  (define requirement (childhurd-configuration-shepherd-requirement config))
  (define package (childhurd-configuration-childhurd config))
  (define control #~(list #:control #$(file-append package "/bin/childhurdctl")))
  (define all
    #~(apply childhurd-services
             #:daemon #$(file-append package "/sbin/childhurdd")
             #:configuration #$%configuration-file
             #:requirement '#$requirement
             #:environment-variables
             (list (string-append "PATH=" #$(childhurd-configuration-qemu config) "/bin"
                                  ":/run/current-system/profile/bin"))
             #:log-file "/var/log/childhurdd.log"
             #$control))

  (cons* (shepherd-service
          (provision '(childhurdd))
          (requirement requirement)
          (modules '((childhurd)))
          (free-form (with-childhurd.scm #~(car #$all))))
         (shepherd-service
          (provision '(childhurd hurd-vm))
          (requirement requirement)
          (modules '((childhurd)))
          (free-form (with-childhurd.scm #~(cadr #$all))))
         (map (lambda (name)
                (shepherd-service
                 (provision (list (string->symbol name)))
                 (modules '((childhurd)))
                 (auto-start? #f)
                 (free-form (with-childhurd.scm
                             #~(car (apply childhurd-guest-services '(#$name) #$control))))))
              (childhurd-configuration-guest-services config))))

(define %accounts
  (list (user-group (name "childhurd") (system? #t))
        (user-group (name "childhurd-admin") (system? #t))
        (user-account
         (name "childhurd")
         (group "childhurd")
         (supplementary-groups '("kvm"))
         (comment "Runs the QEMUs of childhurdd")
         (home-directory "/var/empty")
         (shell (file-append shadow "/sbin/nologin"))
         (system? #t))))

(define (activation config)
  "Make the folders.  /etc/childhurd is not in /etc/static, because the administrator fills secrets/."
  (with-imported-modules '((guix build utils))
    #~(begin
        (use-modules (guix build utils))
        (define file #$%configuration-file)
        (define new (string-append file ".new"))

        (mkdir-p "/etc/childhurd/secrets")
        (chmod "/etc/childhurd/secrets" #o700)
        (mkdir-p "/var/lib/childhurd")
        (chmod "/var/lib/childhurd" #o755)
        ;; Keep a file that the administrator wrote, as Guix does with /etc/guix/machines.scm.
        (let ((stat (false-if-exception (lstat file))))
          (when (and stat (eq? 'regular (stat:type stat)))
            (rename-file file (string-append file ".bak"))))
        (false-if-exception (delete-file new))
        (symlink #$(childhurd-configuration->ini config) new)
        (rename-file new file))))

(define (guix-machines config)
  "The machines that are ready at the time of a build.  The file exists once the daemon has first published."
  (if (any childhurd-configuration-offloading? (all-guests config))
      (guix-extension
       (build-machines
        (list #~(if (file-exists? "/run/childhurd/machines.scm")
                    (primitive-load "/run/childhurd/machines.scm")
                    '()))))
      (guix-extension)))

(define childhurd-service-type
  (service-type
   (name 'childhurd)
   (extensions
    (list (service-extension shepherd-root-service-type shepherd-services)
          (service-extension account-service-type (const %accounts))
          (service-extension activation-service-type activation)
          (service-extension guix-service-type guix-machines)
          (service-extension profile-service-type
                             (lambda (config)
                               (filter package? (list (childhurd-configuration-childhurd config)))))))
   (default-value (childhurd-configuration))
   (description
    "Run childhurdd: several GNU/Hurd virtual machines, @dfn{childhurds}, to which Guix offloads builds.")))
