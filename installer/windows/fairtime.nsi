; Fairtime for 64-bit Windows, with NSIS 3.  Run by `make package` (installer/windows/packages.py), which says:
;   OUT, FILES (all of the folder with the programs), VERSION, FOUR (the version as four numbers), RIGHTS (of the program's folder),
;   TEST (not empty: it was built where no release is built, and says so), QUICK (for tests: nothing is compressed)
;
; fairtime-….exe /S [/D=C:\folder with spaces]     in silence
; uninstall.exe /S [/FORGET]                       policy, keys and record stay without /FORGET; in a child's account with a
;                                                  guardian's PIN in FAIRTIME_PIN
; Exit codes: 0 done, 2 refused with a reason, which is also told in the terminal.
;
; What is more than copying is `fairtime service put | start | stop | remove`.  The version that was there lies in `old` until
; the new one runs, and comes back if it does not.  Done twice it mends what was interrupted.
Target amd64-unicode
!include LogicLib.nsh
!include MUI2.nsh
!include nsDialogs.nsh
!include FileFunc.nsh

Name "Fairtime${TEST}"
OutFile "${OUT}"
InstallDir "$PROGRAMFILES64\Fairtime"
InstallDirRegKey HKLM "Software\Microsoft\Windows\CurrentVersion\Uninstall\Fairtime" InstallLocation
RequestExecutionLevel admin
ManifestDPIAware true
!ifdef QUICK
  SetCompress off
!else
  SetCompressor /SOLID lzma
!endif
SetDateSave off
ShowInstDetails nevershow
ShowUninstDetails nevershow
BrandingText "Fairtime ${VERSION}${TEST}"
VIProductVersion "${FOUR}"
VIAddVersionKey ProductName "Fairtime${TEST}"
VIAddVersionKey ProductVersion "${VERSION}"
VIAddVersionKey FileVersion "${FOUR}"
VIAddVersionKey FileDescription "Fairtime's installer${TEST}"
VIAddVersionKey LegalCopyright "The Fairtime authors"

!define KEY "Software\Microsoft\Windows\CurrentVersion\Uninstall\Fairtime"
!define MUI_WELCOMEPAGE_TEXT "Screen-time limits for the family PC, fair and in the open.$\r$\n$\r$\nInstall it in a guardian's account or an administrator's. While another version is replaced, limits rest for some seconds; what was signed, used and recorded stays."
!define MUI_FINISHPAGE_RUN "$INSTDIR\fairtime.exe"
!define MUI_FINISHPAGE_RUN_PARAMETERS "setup"
!define MUI_FINISHPAGE_RUN_TEXT "Set Fairtime up now: children, guardian, PIN"
!insertmacro MUI_PAGE_WELCOME
!insertmacro MUI_PAGE_DIRECTORY
!insertmacro MUI_PAGE_INSTFILES
!insertmacro MUI_PAGE_FINISH
!insertmacro MUI_UNPAGE_CONFIRM
UninstPage custom un.AskPin un.TakePin
!insertmacro MUI_UNPAGE_INSTFILES
!insertmacro MUI_LANGUAGE English

Var Known  ; whether this is the folder of an installed Fairtime: the registry says it, where only administrators write
Var Pin
Var Former  ; the version that was here
Var Failed

; Say $0 and end with exit code 2.
!macro Refuse
  System::Call 'kernel32::AttachConsole(i -1)'
  System::Call 'kernel32::GetStdHandle(i -12) p .r1'
  FileWrite $1 "Fairtime: $0$\r$\n"
  MessageBox MB_ICONSTOP|MB_OK "$0" /SD IDOK
  SetErrorLevel 2
  Quit
!macroend

Function Refuse
  !insertmacro Refuse
FunctionEnd

Function un.Refuse
  !insertmacro Refuse
FunctionEnd

; Let the folder be administrators' before anything is in it, and refuse one that holds somebody else's files: a library
; that lies beside a program is loaded with the program's rights.
Function Secure
  System::Call 'kernel32::GetFileAttributesW(w "$INSTDIR") i .r1'
  ${If} $1 <> -1
    IntOp $2 $1 & 0x400
    ${If} $2 <> 0
      StrCpy $0 "$INSTDIR is a link. Choose another folder."
      Call Refuse
    ${EndIf}
  ${EndIf}
  ClearErrors
  CreateDirectory "$INSTDIR"
  ${If} ${Errors}
    StrCpy $0 "$INSTDIR cannot be made. Choose another folder."
    Call Refuse
  ${EndIf}
  System::Call 'advapi32::ConvertStringSecurityDescriptorToSecurityDescriptorW(w "${RIGHTS}", i 1, *p .r1, p 0) i .r2'
  ${If} $2 <> 0
    System::Call 'advapi32::SetFileSecurityW(w "$INSTDIR", i 5, p r1) i .r2'
    System::Call 'kernel32::LocalFree(p r1)'
  ${EndIf}
  ${If} $2 = 0
    StrCpy $0 "$INSTDIR cannot be made administrators' own. Choose a folder on a disk with NTFS."
    Call Refuse
  ${EndIf}
  ${If} $Known != yes
    FindFirst $1 $2 "$INSTDIR\*"
    ${DoWhile} $2 != ""
      ${If} $2 != "."
      ${AndIf} $2 != ".."
        FindClose $1
        StrCpy $0 "There are files in $INSTDIR that are not Fairtime's. Choose an empty folder."
        Call Refuse
      ${EndIf}
      FindNext $1 $2
    ${Loop}
    FindClose $1
  ${EndIf}
FunctionEnd

; The words of a program that failed ($1) as the reason ($0).
!macro Reason WHAT
  StrCpy $0 "${WHAT}$\r$\n$1"
!macroend

!macro Each DO
  !insertmacro ${DO} "_internal"
  !insertmacro ${DO} "fairtime.exe"
  !insertmacro ${DO} "fairtime-service.exe"
  !insertmacro ${DO} "fairtime-tray.exe"
!macroend

; What an interrupted exchange has put aside already stays there.
!macro Aside NAME
  ${If} ${FileExists} "$INSTDIR\${NAME}"
    RMDir /r "$INSTDIR\old\${NAME}"
    Delete "$INSTDIR\old\${NAME}"
    ClearErrors
    Rename "$INSTDIR\${NAME}" "$INSTDIR\old\${NAME}"
    ${If} ${Errors}
      StrCpy $Failed yes
    ${EndIf}
  ${EndIf}
!macroend

!macro PutIn NAME
  ClearErrors
  Rename "$INSTDIR\new\${NAME}" "$INSTDIR\${NAME}"
  ${If} ${Errors}
    StrCpy $Failed yes
  ${EndIf}
!macroend

!macro BringBack NAME
  ${If} ${FileExists} "$INSTDIR\old\${NAME}"
    RMDir /r "$INSTDIR\${NAME}"
    Delete "$INSTDIR\${NAME}"
    Rename "$INSTDIR\old\${NAME}" "$INSTDIR\${NAME}"
  ${EndIf}
!macroend

; The version that was here runs again, if there was one; then the reason ($0) is told.
Function BackOut
  Push $0
  ${If} $Known == yes
    ; Ended by its own program: the new one may not run at all.
    nsExec::ExecToStack '"$INSTDIR\old\fairtime.exe" service stop --folder "$INSTDIR"'
    Pop $2
    Pop $1
    !insertmacro Each BringBack
    RMDir /r "$INSTDIR\old"
    RMDir /r "$INSTDIR\new"
    ${If} $Former != ""
      WriteRegStr HKLM "${KEY}" DisplayVersion "$Former"
    ${EndIf}
    nsExec::ExecToStack '"$INSTDIR\fairtime.exe" service put'
    Pop $2
    Pop $1
    nsExec::ExecToStack '"$INSTDIR\fairtime.exe" service start'
    Pop $2
    Pop $1
    Pop $0
    ${If} $2 = 0
      StrCpy $0 "$0$\r$\nThe version that was here runs again."
    ${EndIf}
  ${Else}
    Pop $0
    Call TakeFilesBack
  ${EndIf}
  Call Refuse
FunctionEnd

Section
  SetShellVarContext all
  ReadRegStr $1 HKLM "${KEY}" InstallLocation
  StrCpy $Known no
  ${If} $1 == $INSTDIR
    StrCpy $Known yes
  ${ElseIf} $1 != ""
    StrCpy $0 "Fairtime is installed in $1. Install it there, or remove that one first."
    Call Refuse
  ${EndIf}
  Call Secure
  WriteRegStr HKLM "${KEY}" InstallLocation "$INSTDIR"
  ReadRegStr $Former HKLM "${KEY}" DisplayVersion

  ; Beside what runs, so that limits hold until everything is there.
  RMDir /r "$INSTDIR\new"
  ClearErrors
  SetOutPath "$INSTDIR\new"
  File /r "${FILES}"
  ${If} ${Errors}
    SetOutPath "$TEMP"
    RMDir /r "$INSTDIR\new"
    StrCpy $0 "The files could not be written. Is the disk full?"
    Call Refuse
  ${EndIf}
  SetOutPath "$TEMP"

  nsExec::ExecToStack '"$INSTDIR\new\fairtime.exe" service stop --folder "$INSTDIR"'
  Pop $2
  Pop $1
  ${If} $2 != 0
    !insertmacro Reason "The version that is here does not stop."
    Call Refuse
  ${EndIf}
  StrCpy $Failed no
  CreateDirectory "$INSTDIR\old"
  !insertmacro Each Aside
  ${If} $Failed == no
    !insertmacro Each PutIn
  ${EndIf}
  ${If} $Failed == yes
    StrCpy $0 "A file of the version that is here is in use. Start the PC again, then install once more."
    Call BackOut
  ${EndIf}
  RMDir /r "$INSTDIR\new"
  WriteUninstaller "$INSTDIR\uninstall.exe"
  WriteRegStr HKLM "${KEY}" DisplayName "Fairtime${TEST}"
  WriteRegStr HKLM "${KEY}" DisplayVersion "${VERSION}"
  WriteRegStr HKLM "${KEY}" DisplayIcon "$INSTDIR\fairtime.exe"
  WriteRegStr HKLM "${KEY}" Publisher "The Fairtime authors"
  WriteRegStr HKLM "${KEY}" UninstallString '"$INSTDIR\uninstall.exe"'
  WriteRegStr HKLM "${KEY}" QuietUninstallString '"$INSTDIR\uninstall.exe" /S'
  WriteRegDWORD HKLM "${KEY}" NoModify 1
  WriteRegDWORD HKLM "${KEY}" NoRepair 1

  nsExec::ExecToStack '"$INSTDIR\fairtime.exe" service put'
  Pop $2
  Pop $1
  ${If} $2 != 0
    !insertmacro Reason "Fairtime cannot be put in place."
    Call BackOut
  ${EndIf}
  nsExec::ExecToStack '"$INSTDIR\fairtime.exe" service start'
  Pop $2
  Pop $1
  ${If} $2 != 0
    ${If} $Known == yes
      !insertmacro Reason "The new version's service does not start."
      Call BackOut
    ${EndIf}
    RMDir "$INSTDIR\old"
    !insertmacro Reason "Fairtime is installed, and its service does not start."
    Call Refuse
  ${EndIf}
  RMDir /r "$INSTDIR\old"
  ; The tray of whoever is logged in here, with that person's rights and not the installer's.
  ${IfNot} ${Silent}
    Exec '"$WINDIR\explorer.exe" "$SMSTARTUP\Fairtime.lnk"'
  ${EndIf}
SectionEnd

!macro TakeFilesBack
  SetOutPath "$TEMP"
  RMDir /r "$INSTDIR\new"
  RMDir /r "$INSTDIR\old"
  RMDir /r "$INSTDIR\_internal"
  Delete "$INSTDIR\fairtime.exe"
  Delete "$INSTDIR\fairtime-service.exe"
  Delete "$INSTDIR\fairtime-tray.exe"
  Delete "$INSTDIR\uninstall.exe"
  RMDir "$INSTDIR"
  DeleteRegKey HKLM "${KEY}"
!macroend

Function TakeFilesBack
  !insertmacro TakeFilesBack
FunctionEnd

; ---- taking it away ----------------------------------------------------------------------------------------------------

Function un.AskPin
  nsExec::ExecToStack '"$INSTDIR\fairtime.exe" service remove --see'
  Pop $2
  Pop $1
  ${If} $2 != 3
    Abort  ; no page: nobody is asked
  ${EndIf}
  !insertmacro MUI_HEADER_TEXT "A guardian's PIN" "This is a child's account."
  nsDialogs::Create 1018
  Pop $1
  ${NSD_CreateLabel} 0 0 100% 24u "A guardian types the PIN here. Without it Fairtime stays."
  Pop $1
  ${NSD_CreatePassword} 0 30u 60% 12u ""
  Pop $Pin
  nsDialogs::Show
FunctionEnd

Function un.TakePin
  ${NSD_GetText} $Pin $1
  System::Call 'kernel32::SetEnvironmentVariableW(w "FAIRTIME_PIN", w r1)'
  StrCpy $1 ""
FunctionEnd

Section Uninstall
  SetShellVarContext all
  ReadRegStr $1 HKLM "${KEY}" InstallLocation
  ${If} $1 != $INSTDIR
    StrCpy $0 "This Fairtime is not the one that is installed."
    Call un.Refuse
  ${EndIf}
  ${GetParameters} $2
  ClearErrors
  ${GetOptions} $2 "/FORGET" $3
  StrCpy $3 "--forget"
  ${If} ${Errors}
    StrCpy $3 ""
    MessageBox MB_ICONQUESTION|MB_YESNO|MB_DEFBUTTON2 "Forget everything, too? The policy, its keys and what was recorded on this PC cannot be brought back." /SD IDNO IDNO keep
    StrCpy $3 "--forget"
    keep:
  ${EndIf}
  nsExec::ExecToStack '"$INSTDIR\fairtime.exe" service remove $3'
  Pop $2
  Pop $1
  ${If} $2 != 0
    !insertmacro Reason "Fairtime stays."
    Call un.Refuse
  ${EndIf}
  !insertmacro TakeFilesBack
  ${If} ${FileExists} "$INSTDIR\*.*"
    StrCpy $0 "Fairtime is removed. Files that are in use stay in $INSTDIR; remove them after the PC was started again."
    MessageBox MB_ICONINFORMATION|MB_OK "$0" /SD IDOK
  ${EndIf}
SectionEnd
