;; SPDX-License-Identifier: GPL-3.0-or-later
;;
;; childhurdd as a service of Guix System. In a system's configuration, with the channel or for
;; `guix system -L CHECKOUT/service/guile ...':
;;
;;   (use-modules (childhurd-service))
;;   (service childhurd-service-type
;;            (childhurd-configuration (count 4)))
;;
;; The daemon runs as root: it authorizes the guests' signing keys, and keeps Guix' build slots while a guest goes down.

(define-module (childhurd-service)
  #:use-module (childhurd-configuration)
  #:use-module (childhurd-package)
  #:use-module (gnu packages admin)
  #:use-module ((gnu services) #:hide (delete))
  #:use-module (gnu services base)
  #:use-module (gnu services shepherd)
  #:use-module (gnu system shadow)
  #:use-module (guix gexp)
  #:use-module (guix packages)
  #:use-module (srfi srfi-1)
  #:re-export (childhurd-from-checkout
               childhurd-configuration
               childhurd-configuration?
               childhurd-configuration->ini
               childhurd-node
               childhurd-node?
               childhurd-coordinator
               childhurd-coordinator?)
  #:export (childhurd-service-type))

(define %configuration-file "/etc/childhurd/childhurd.ini")

;; With the sources it is beside them, and installed beside this file.
(define %childhurd.scm
  (if %childhurd-sources
      (string-append %childhurd-sources "/service/shepherd/childhurd.scm")
      (string-append (dirname (search-path %load-path "childhurd-service.scm")) "/childhurd.scm")))

(define-syntax-rule (with-childhurd.scm exp)
  "The gexp EXP, in which the module (childhurd) can be used."
  (with-extensions (list shepherd-1.0 (lookup-package-input shepherd-1.0 "guile-fibers"))
    (with-imported-modules `(((childhurd) => ,(local-file %childhurd.scm)))
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

(define (checked extend)
  "EXTEND, for the service's configuration, once that is known to be one."
  (compose extend check-configuration))

(define childhurd-service-type
  (service-type
   (name 'childhurd)
   (extensions
    (list (service-extension shepherd-root-service-type (checked shepherd-services))
          (service-extension account-service-type (checked (const %accounts)))
          (service-extension activation-service-type (checked activation))
          (service-extension guix-service-type (checked guix-machines))
          (service-extension profile-service-type
                             (checked (lambda (config)
                                        (filter package? (list (childhurd-configuration-childhurd config))))))))
   (default-value (childhurd-configuration))
   (description
    "Run childhurdd: several GNU/Hurd virtual machines, @dfn{childhurds}, to which Guix offloads builds.")))
