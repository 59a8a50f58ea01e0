;; SPDX-License-Identifier: GPL-3.0-or-later
;;
;; What childhurd-service-type is configured with, and the childhurd.ini that is made of it. Whatever is wrong is told when
;; the system's configuration is evaluated, before anything is built or restarted.
;;
;; A field that Guix' hurd-vm-configuration has too (gnu services virtualization) means the same here. Those of its fields
;; that would have no effect are refused, and so are keys of childhurd.ini(5) under which a field might be looked for.

(define-module (childhurd-configuration)
  #:use-module (childhurd-package)
  #:use-module (gnu image)
  #:use-module (gnu packages virtualization)
  #:use-module (gnu services virtualization)
  #:use-module (gnu system image)
  #:use-module (guix diagnostics)
  #:use-module (guix gexp)
  #:use-module (guix i18n)
  #:use-module (guix records)
  #:use-module (ice-9 match)
  #:use-module (srfi srfi-1)
  #:use-module (srfi srfi-34)
  #:export ((checked-configuration . childhurd-configuration)
            childhurd-configuration?
            childhurd-configuration-childhurd
            childhurd-configuration-guest-services
            childhurd-configuration-offloading?
            childhurd-configuration-qemu
            childhurd-configuration-shepherd-requirement
            childhurd-node
            childhurd-node?
            childhurd-coordinator
            childhurd-coordinator?
            all-guests
            check-configuration
            childhurd-configuration->ini))


;;;
;;; What fields may be.
;;;

(define (refuse record field value expected)
  (raise (formatted-message (G_ "~a: ~a: ~s is not ~a") record field value expected)))

(define-syntax-rule (define-check (name value) good? expected)
  "Define NAME.  Called with the names of a field and its record, it returns a sanitizer, which refuses a VALUE that is not
GOOD?."
  (define* (name field #:optional (record 'childhurd-configuration))
    (lambda (value)
      (if good? value (refuse record field value expected)))))

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
(define-check (port/not value) (or (not value) (and (whole? value) (<= 1 value 65535))) (G_ "#f or a port's number"))
(define-check (nodes value) (and (list? value) (every node? value)) (G_ "a list of childhurd-nodes"))
(define-check (coordinators value) (and (list? value) (every coordinator? value)) (G_ "a list of childhurd-coordinators"))
(define-check (line/file/not value) (or (not value) (line? value) (file-like? value))
  (string-append (G_ "#f, ") a-line (G_ ", or a file-like object")))

(define (check-configuration value)
  "Return VALUE if it is a childhurd-configuration, and refuse it otherwise."
  (cond ((configuration? value) value)
        ((hurd-vm-configuration? value)
         (raise (formatted-message (G_ "childhurd: a hurd-vm-configuration is given where a childhurd-configuration \
belongs: write (childhurd-configuration ...), in which os, qemu, type, image, disk-size, memory-size, options, id and \
offloading? mean the same; leave out net-options (see id, ssh-port, forwards and network) and secret-root (put files into \
/etc/childhurd/secrets/NAME)"))))
        (else
         (raise (formatted-message (G_ "childhurd: ~s is given where a childhurd-configuration belongs") value)))))

(define (configurations field)
  (lambda (value)
    (if (list? value)
        (map check-configuration value)
        (refuse 'childhurd-configuration field value (G_ "a list of childhurd-configurations")))))

(define %options-of-fields
  ;; Options of QEMU that childhurdd refuses, and the fields that do the same.
  '(("-m" . "memory-size")
    ("-smp" . "cpus")
    ("-cpu" . "cpu")
    ("-enable-kvm" . "acceleration")
    ("-accel" . "acceleration")
    ("-machine" . "type")
    ("-M" . "type")
    ("-kernel" . "extra-content")
    ("-append" . "extra-content")
    ("-initrd" . "extra-content")
    ("-hda" . "image")
    ("-rtc" . "clock")
    ("-loadvm" . "warm-start")
    ("-incoming" . "warm-start")))

(define (check-option field option)
  ;; QEMU also accepts each option with two dashes.
  (define name (if (string-prefix? "--" option) (string-drop option 1) option))

  (match (assoc-ref %options-of-fields name)
    (#f
     ;; The default of Guix' hurd-vm, so configurations written for it may have it.
     (when (string=? name "-snapshot")
       (raise (formatted-message (G_ "childhurd-configuration: ~a: --snapshot has no place here: \
(disk 'ephemeral), the default, gives a guest a new disk at each start") field))))
    (other
     (raise (formatted-message (G_ "childhurd-configuration: ~a: ~a has no place here: use the field '~a'")
                               field option other)))))

(define (options field)
  (lambda (value)
    (let ((value ((lines field) value)))
      (for-each (lambda (option) (check-option field option)) value)
      value)))


;;;
;;; The records.
;;;

;; Another host whose guests this one lists: [node NAME].
(define-record-type* <childhurd-node>
  childhurd-node make-childhurd-node
  childhurd-node?
  (name       childhurd-node-name                        ;string
              (sanitize (guest-name 'name 'childhurd-node)))
  (ssh        childhurd-node-ssh                         ;string: USER@HOST[:PORT]
              (sanitize (line 'ssh 'childhurd-node)))
  (host-key   childhurd-node-host-key                    ;#f or string: else that in root's known_hosts
              (default #f)
              (sanitize (line/not 'host-key 'childhurd-node)))
  (address    childhurd-node-address                     ;#f or string: else the host of ssh
              (default #f)
              (sanitize (line/not 'address 'childhurd-node)))
  (lost-after childhurd-node-lost-after                  ;#f or seconds
              (default #f)
              (sanitize (positive/not 'lost-after 'childhurd-node))))

;; Another host whose Guix uses these guests: [coordinator NAME].
(define-record-type* <childhurd-coordinator>
  childhurd-coordinator make-childhurd-coordinator
  childhurd-coordinator?
  (name        childhurd-coordinator-name                ;string
               (sanitize (guest-name 'name 'childhurd-coordinator)))
  (ssh-key     childhurd-coordinator-ssh-key             ;string: TYPE BASE64
               (sanitize (line 'ssh-key 'childhurd-coordinator)))
  (signing-key childhurd-coordinator-signing-key         ;#f, string (a file's name or the key) or file-like
               (default #f)
               (sanitize (line/file/not 'signing-key 'childhurd-coordinator))))

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
  (ssh-port     childhurd-configuration-ssh-port         ;#f or integer: else by id
                (default #f)
                (sanitize (port/not 'ssh-port)))
  (secrets-port childhurd-configuration-secrets-port     ;#f or integer: else by id
                (default #f)
                (sanitize (port/not 'secrets-port)))
  (listen-address childhurd-configuration-listen-address ;#f or string
                (default #f)
                (sanitize (line/not 'listen-address)))
  (forwards     childhurd-configuration-forwards         ;list of strings, each as "8080 -> 80"
                (default '())
                (sanitize (lines 'forwards)))
  (image-format childhurd-configuration-image-format     ;#f or string
                (default #f)
                (sanitize (line/not 'image-format)))
  (overlay-size childhurd-configuration-overlay-size     ;#f or bytes: of the guest's disk, above the image's
                (default #f)
                (sanitize (positive/not 'overlay-size)))
  (cpu          childhurd-configuration-cpu              ;#f or string
                (default #f)
                (sanitize (line/not 'cpu)))
  (network-device childhurd-configuration-network-device ;#f or string
                (default #f)
                (sanitize (line/not 'network-device)))
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
  (clock        childhurd-configuration-clock            ;#f or string: a date
                (default #f)
                (sanitize (line/not 'clock)))
  (clock-skew-limit childhurd-configuration-clock-skew-limit ;#f or seconds
                (default #f)
                (sanitize (positive/not 'clock-skew-limit)))
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
  (restart      childhurd-configuration-restart          ;#f or string
                (default #f)
                (sanitize (line/not 'restart)))
  (user         childhurd-configuration-user             ;#f or string
                (default #f)
                (sanitize (line/not 'user)))
  (admin-user   childhurd-configuration-admin-user       ;#f or string
                (default #f)
                (sanitize (line/not 'admin-user)))
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
  (store-floor  childhurd-configuration-store-floor      ;#f or bytes
                (default #f)
                (sanitize (positive/not 'store-floor)))
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
  (nodes        childhurd-configuration-nodes            ;list of <childhurd-node>
                (default '())
                (sanitize (nodes 'nodes)))
  (coordinators childhurd-configuration-coordinators     ;list of <childhurd-coordinator>
                (default '())
                (sanitize (coordinators 'coordinators)))
  (parallel-starts childhurd-configuration-parallel-starts ;#f or integer
                (default #f)
                (sanitize (positive/not 'parallel-starts)))
  (host-name    childhurd-configuration-host-name        ;#f or string
                (default #f)
                (sanitize (line/not 'host-name)))
  (history      childhurd-configuration-history          ;#f or seconds; 0: nothing is kept
                (default #f)
                (sanitize (natural/not 'history)))
  (metrics-file childhurd-configuration-metrics-file     ;#f or string
                (default #f)
                (sanitize (line/not 'metrics-file)))
  (guest-services childhurd-configuration-guest-services ;list of strings: guests with a shepherd service of their own
                (default '())
                (sanitize (lines 'guest-services)))
  (shepherd-requirement childhurd-configuration-shepherd-requirement ;list of symbols
                (default '(user-processes loopback networking))
                (sanitize (symbols 'shepherd-requirement))))

;; For code above the records: their own predicates are macros.
(define (configuration? value) (childhurd-configuration? value))
(define (node? value) (childhurd-node? value))
(define (coordinator? value) (childhurd-coordinator? value))

(eval-when (expand load eval)
  (define %other-fields
    ;; Fields that are refused, and what to write instead.
    (let ((no-secrets "each guest has a secret root of its own; leave it out, and put further files into \
/etc/childhurd/secrets/NAME"))
      `((net-options . "childhurdd makes the network itself; use the fields 'id', 'ssh-port' and 'forwards' for its \
ports, 'network' and 'network-device' for the rest")
        (secret-root . ,no-secrets)
        (secret-directory . ,no-secrets)
        ;; Keys of childhurd.ini.
        (autostart . "use the field 'autostart?'")
        (emulator . "use the field 'qemu', a package")
        (forward . "use the field 'forwards', a list")
        (kernel . "the image boots by itself; use the field 'extra-content' for this key")
        (machine . "use the field 'type'")
        (offloading . "use the field 'offloading?'")
        (qemu-options . "use the field 'options', a list")
        (systems . "use the field 'type'")))))

(define-syntax checked-configuration
  (lambda (form)
    "The record's constructor, for which other records' fields are errors with their place and a remedy."
    (define (check-field field)
      (syntax-case field ()
        ((name _ ...)
         (match (assq-ref %other-fields (syntax->datum #'name))
           (#f #t)
           (remedy
            (syntax-violation 'childhurd-configuration
                              (format #f "childhurd-configuration has no field '~a': ~a" (syntax->datum #'name) remedy)
                              form field))))
        (_ #t)))

    (define (constructor fields)
      ;; With the place of FORM, for the errors of the record's own.
      (datum->syntax form (cons #'childhurd-configuration fields) #:source (syntax-source form)))

    (syntax-case form (inherit)
      ((_ (inherit other) fields ...)
       (for-each check-field #'(fields ...))
       (constructor (cons #'(inherit (check-configuration other)) #'(fields ...))))
      ((_ fields ...)
       (for-each check-field #'(fields ...))
       (constructor #'(fields ...))))))

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
(define (several value) (and (pair? value) value))
(define (words value) (and (pair? value) (string-join value " ")))

(define (shell-words value)
  (define (quoted word)
    (string-append "'" (string-join (string-split word #\') "'\\''") "'"))

  (and (pair? value) (string-join (map quoted value) " ")))

;; Key, field, and how to write the value; #f: omit the key, a list: once for each element.  A field without a key of its own has a row with the key
;; that has the same effect.
(define %daemon-keys
  `(("parallel-starts" ,childhurd-configuration-parallel-starts ,integer)
    ("host-name" ,childhurd-configuration-host-name ,identity)
    ("history" ,childhurd-configuration-history ,seconds)
    ("metrics-file" ,childhurd-configuration-metrics-file ,identity)))

(define %guest-keys
  `(("count" ,childhurd-configuration-count ,(lambda (count) (and (> count 1) (integer count))))
    ("id" ,childhurd-configuration-id ,integer)
    ("image" ,childhurd-configuration-image
     ,(lambda (image)
        (cond ((image? image) #~#+(system-image image))
              ((string? image) ((line 'image) image))
              (else image))))
    ("image-format" ,childhurd-configuration-image-format ,identity)
    ("disk-size" ,childhurd-configuration-overlay-size ,integer)
    ("ssh-port" ,childhurd-configuration-ssh-port ,integer)
    ("secrets-port" ,childhurd-configuration-secrets-port ,integer)
    ("listen-address" ,childhurd-configuration-listen-address ,identity)
    ("forward" ,childhurd-configuration-forwards ,several)
    ("memory-size" ,childhurd-configuration-memory-size ,(lambda (size) (string-append (integer size) "M")))
    ("cpus" ,childhurd-configuration-cpus ,integer)
    ("cpu" ,childhurd-configuration-cpu ,identity)
    ("machine" ,childhurd-configuration-type ,(lambda (type) (and (eq? type 'hurd64-qcow2) "q35")))
    ("systems" ,childhurd-configuration-type ,(lambda (type) (if (eq? type 'hurd64-qcow2) "x86_64-gnu" "i586-gnu")))
    ("emulator" ,childhurd-configuration-qemu ,(lambda (qemu) (file-append qemu "/bin/qemu-system-x86_64")))
    ("qemu-options" ,childhurd-configuration-options ,shell-words)
    ("disk" ,childhurd-configuration-disk ,symbol->string)
    ("acceleration" ,childhurd-configuration-acceleration ,identity)
    ("network" ,childhurd-configuration-network ,identity)
    ("network-device" ,childhurd-configuration-network-device ,identity)
    ("offloading" ,childhurd-configuration-offloading? ,yes/no)
    ("architecture" ,childhurd-configuration-architecture ,identity)
    ("distribution" ,childhurd-configuration-distribution ,identity)
    ("clock" ,childhurd-configuration-clock ,identity)
    ("clock-skew-limit" ,childhurd-configuration-clock-skew-limit ,seconds)
    ("inject" ,childhurd-configuration-inject ,identity)
    ("warm-start" ,childhurd-configuration-warm-start ,identity)
    ("prepare-command" ,childhurd-configuration-prepare-command ,identity)
    ("recycle-after" ,childhurd-configuration-recycle-after ,integer)
    ("idle-timeout" ,childhurd-configuration-idle-timeout ,seconds)
    ("autostart" ,childhurd-configuration-autostart? ,yes/no/asleep)
    ("restart" ,childhurd-configuration-restart ,identity)
    ("user" ,childhurd-configuration-user ,identity)
    ("admin-user" ,childhurd-configuration-admin-user ,identity)
    ("features" ,childhurd-configuration-features ,words)
    ("parallel-builds" ,childhurd-configuration-parallel-builds ,integer)
    ("speed" ,childhurd-configuration-speed ,real)
    ("overload-threshold" ,childhurd-configuration-overload-threshold ,real)
    ("store-floor" ,childhurd-configuration-store-floor ,integer)
    ("probe-command" ,childhurd-configuration-probe-command ,identity)
    ("probe-interval" ,childhurd-configuration-probe-interval ,seconds)
    ("boot-timeout" ,childhurd-configuration-boot-timeout ,seconds)
    ("hang-timeout" ,childhurd-configuration-hang-timeout ,seconds)
    ("stop-timeout" ,childhurd-configuration-stop-timeout ,seconds)))

(define %node-keys
  `(("ssh" ,childhurd-node-ssh ,identity)
    ("host-key" ,childhurd-node-host-key ,identity)
    ("address" ,childhurd-node-address ,identity)
    ("lost-after" ,childhurd-node-lost-after ,seconds)))

(define %coordinator-keys
  `(("ssh-key" ,childhurd-coordinator-ssh-key ,identity)
    ("signing-key" ,childhurd-coordinator-signing-key ,identity)))

;; The keys without a field, and why.
(define %absent-keys
  '(("uri" . "libvirt's driver is in the daemon: no libvirtd has to run")
    ("state-directory" . "the service makes it")
    ("runtime-directory" . "Guix reads machines.scm there, and childhurdctl looks there")
    ("control-group" . "the service makes the group")
    ("qemu-user" . "the service makes the user")
    ("coordinator-user" . "a Guix System's build daemon tells it")
    ("guix-configuration-directory" . "a Guix System has it in its usual place")
    ("guix-state-directory" . "likewise")
    ("kernel" . "an image that Guix makes boots by itself")
    ("kernel-arguments" . "likewise")
    ("module" . "likewise")))

(define (section title keys config)
  "The strings and file-like objects of a section."
  `("[" ,title "]\n"
    ,@(append-map (match-lambda
                    ((key field write)
                     (match (write (field config))
                       (#f '())
                       ((values ...) (append-map (lambda (value) (list key " = " value "\n")) values))
                       (value (list key " = " value "\n")))))
                  keys)))

(define-syntax-rule (refuse-guest guest message argument ...)
  (raise (formatted-message message (childhurd-configuration-name guest) argument ...)))

(define (check-further guest)
  "Refuse GUEST, one of the field `guests', if it has fields that concern the daemon."
  (unless (and (every (lambda (field) (null? (field guest)))
                      (list childhurd-configuration-guests childhurd-configuration-guest-services
                            childhurd-configuration-nodes childhurd-configuration-coordinators))
               (every (match-lambda ((key field _) (not (field guest)))) %daemon-keys))
    (refuse-guest guest (G_ "childhurd-configuration: ~a: guests, guest-services, nodes, coordinators, parallel-starts, host-name, history and metrics-file \
concern the daemon: move them to the service's own configuration, out of those in 'guests'"))))

(define (check-disk-size guest)
  "Refuse a `disk-size' that has no effect, because the image is not made from `os'."
  (define size (childhurd-configuration-disk-size guest))
  (define image (childhurd-configuration-image guest))

  (unless (or (eq? size 'guess)
              (and (image? image) (equal? size (image-size image))))
    (refuse-guest guest (G_ "childhurd-configuration: ~a: disk-size: ~a is the size of an image that is made from 'os', and the field 'image' gives \
another; use 'overlay-size' for guests with larger disks than the image's") size)))

(define (check-ports guest)
  "Refuse ports that each guest of a template would have."
  (when (> (childhurd-configuration-count guest) 1)
    (for-each (match-lambda
                ((name . value)
                 (when (and value (not (null? value)))
                   (refuse-guest guest (G_ "childhurd-configuration: ~a: ~a: ~s cannot be that of ~a guests; leave it out, so that it follows from \
'id', or move that guest to 'guests'") name value (childhurd-configuration-count guest)))))
              `((ssh-port . ,(childhurd-configuration-ssh-port guest))
                (secrets-port . ,(childhurd-configuration-secrets-port guest))
                (forwards . ,(childhurd-configuration-forwards guest))))))

(define (numbered guests)
  "Return a pair of name and id for each guest that GUESTS stand for, as childhurdd counts them."
  (fold (lambda (guest numbered)
          (let ((name (childhurd-configuration-name guest))
                (count (childhurd-configuration-count guest))
                (first (or (childhurd-configuration-id guest) (length numbered))))
            (append numbered
                    (map (lambda (n)
                           (cons (if (= count 1) name (string-append name (number->string (+ n 1))))
                                 (+ first n)))
                         (iota count)))))
        '()
        guests))

(define (check-pairs guests)
  "Refuse two guests with one name or one id."
  (let loop ((seen '())
             (rest (numbered guests)))
    (match rest
      (() #t)
      (((and guest (name . id)) . rest)
       (when (assoc name seen)
         (raise (formatted-message (G_ "childhurd-configuration: two guests have the name ~a: give one of them another \
'name'") name)))
       (match (find (match-lambda ((_ . other) (= other id))) seen)
         (#f #t)
         ((other . _)
          (raise (formatted-message (G_ "childhurd-configuration: id: ~a and ~a both have the id ~a, from which their \
ports follow: give one of them another 'id'") other name id))))
       (loop (cons guest seen) rest)))))

(define (all-guests config)
  "Return CONFIG and its further guests, once all that they can show of mistakes has been looked for."
  (let ((guests (cons config (childhurd-configuration-guests config))))
    (for-each check-further (cdr guests))
    (for-each check-disk-size guests)
    (for-each check-ports guests)
    (check-pairs guests)
    guests))

(define (sections kind name keys records)
  (append-map (lambda (record)
                (section (string-append kind " " (name record)) keys record))
              records))

(define (childhurd-configuration->ini config)
  "The configuration that childhurdd reads, a file-like object."
  (apply mixed-text-file "childhurd.ini"
         (append (section "daemon" %daemon-keys config)
                 (append-map (lambda (guest)
                               (append (section (string-append "guest " (childhurd-configuration-name guest))
                                                %guest-keys guest)
                                       (list (childhurd-configuration-extra-content guest) "\n")))
                             (all-guests config))
                 (sections "node" childhurd-node-name %node-keys (childhurd-configuration-nodes config))
                 (sections "coordinator" childhurd-coordinator-name %coordinator-keys
                           (childhurd-configuration-coordinators config)))))
